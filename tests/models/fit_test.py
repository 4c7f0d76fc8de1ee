"""`fit` trains alike from every source and with every setting of `compile`."""

import sys

import keras
import numpy as np
import pytest
from keras import ops

import keras_isd
from tests.support import golden, torch_state
from tests.support.processes import run_python

BACKEND = keras.backend.backend()
PLUS = golden.Trajectory("isd_plus")


def assert_ends_as_the_authors(model, history):
    np.testing.assert_allclose(history.history["loss"], [PLUS.losses.mean()], rtol=1e-4)
    assert int(model.optimizer.iterations) == 12
    final = PLUS.state("final")
    for part, prefix in golden.parts(model):
        assert torch_state.largest_difference(part, final, prefix) < 1e-3
    queue = ops.convert_to_numpy(model.queue.embeddings)
    np.testing.assert_allclose(queue, final["queue"], atol=1e-3)


def one_epoch(model, *args, **kwargs):
    return model.fit(*args, **kwargs, shuffle=False, verbose=0)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 12

    def __getitem__(self, step):
        return list(PLUS.batches())[step]


def tf_dataset():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(PLUS.flat_views()).batch(8)


def sampled_loader():
    loader = torch_loader()
    torch = sys.modules["torch"]
    order = torch.utils.data.SequentialSampler(loader.dataset)
    sampler = torch.utils.data.BatchSampler(order, batch_size=8, drop_last=False)
    return torch.utils.data.DataLoader(loader.dataset, batch_sampler=sampler)


def iterable_loader():
    """Loads a data set that can only be iterated."""
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")

    class Images(torch.utils.data.IterableDataset):
        def __iter__(self):
            views, labels = PLUS.flat_views()
            for index in range(96):
                yield {name: images[index] for name, images in views.items()}, labels[index]

    return torch.utils.data.DataLoader(Images(), batch_size=8)


def torch_loader():
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")

    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return 96

        def __getitem__(self, index):
            views, labels = PLUS.flat_views()
            return {name: images[index] for name, images in views.items()}, labels[index]

    return torch.utils.data.DataLoader(Images(), batch_size=8)


def dict_loader():
    """Without labels: batches are dicts, not tuples."""
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")
    views, _ = PLUS.flat_views()
    items = [{name: images[row] for name, images in views.items()} for row in range(96)]
    return torch.utils.data.DataLoader(items, batch_size=8)


def test_evaluate_and_predict_take_loaders_of_any_batches():
    model = golden.golden_model("isd_plus")
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")
    views, _ = PLUS.flat_views()
    expected = model.evaluate(views, batch_size=8, verbose=0)
    assert model.evaluate(dict_loader(), verbose=0) == pytest.approx(expected, rel=1e-5)
    loader = torch.utils.data.DataLoader(views["query"], batch_size=8)
    np.testing.assert_allclose(
        model.predict(loader, verbose=0), model.predict(views["query"], verbose=0), atol=1e-5
    )


def test_callbacks_may_be_a_callback_list():
    views, _ = PLUS.flat_views()
    model = golden.golden_model("isd_plus")
    history = keras.callbacks.History()
    callbacks = keras.callbacks.CallbackList([history], model=model)
    for _ in range(2):
        one_epoch(model, views, batch_size=8, callbacks=callbacks)
    np.testing.assert_allclose(history.history["loss"][0], PLUS.losses.mean(), rtol=1e-4)
    assert len(callbacks.callbacks) == 2  # one more: the callback that checks the loss
    views = {**views, "query": np.full_like(views["query"], np.nan)}
    with pytest.raises(FloatingPointError, match="step 25"):
        one_epoch(model, views, batch_size=8, callbacks=callbacks)


SOURCES = [
    dict_loader,
    tf_dataset,
    torch_loader,
    sampled_loader,
    iterable_loader,
    lambda: Batches(),
    PLUS.batches,
]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # a generator ends so
@pytest.mark.parametrize("source", SOURCES)
def test_every_source_agrees_with_the_authors(source):
    model = golden.golden_model("isd_plus")
    assert_ends_as_the_authors(model, one_epoch(model, source()))


def test_arrays_agree_with_the_authors():
    model = golden.golden_model("isd_plus")
    assert_ends_as_the_authors(model, one_epoch(model, *PLUS.flat_views(), batch_size=8))


@pytest.mark.parametrize(
    "setting", [{"jit_compile": True}, {"jit_compile": False}, {"run_eagerly": True}], ids=str
)
def test_compilation_does_not_change_the_run(setting):
    model = golden.golden_model("isd_plus", **setting)
    assert_ends_as_the_authors(model, one_epoch(model, *PLUS.flat_views(), batch_size=8))


@pytest.mark.parametrize("jit_compile", [True, False])
def test_several_steps_per_execution_do_not_change_the_run(jit_compile):
    model = golden.golden_model("isd_plus", steps_per_execution=4, jit_compile=jit_compile)
    if BACKEND == "torch":
        with pytest.raises(ValueError, match="steps_per_execution"):  # Keras lacks it on PyTorch
            one_epoch(model, *PLUS.flat_views(), batch_size=8)
    else:
        assert_ends_as_the_authors(model, one_epoch(model, *PLUS.flat_views(), batch_size=8))


def test_labels_change_only_the_purity():
    views, labels = PLUS.flat_views()
    histories, weights = [], []
    for y in (labels, np.zeros_like(labels), None):
        model = golden.golden_model("isd_plus")
        histories.append(one_epoch(model, views, y, batch_size=8).history)
        weights.append(model.student_backbone.get_weights() + model.predictor.get_weights())
    assert histories[0]["purity"] != histories[1]["purity"]
    assert "purity" not in histories[2]
    for other in weights[1:]:
        for found, wanted in zip(other, weights[0], strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_purity_leaves_out_images_of_unknown_label():
    views, labels = PLUS.flat_views()
    half = np.where(np.arange(96) % 2, labels, -1)
    model = golden.golden_model("isd_plus")
    model.queue.labels.assign(np.full(64, 3))
    # One step: every anchor has label 3, so purity is the share of threes among the known.
    first = {name: images[:8] for name, images in views.items()}
    history = one_epoch(model, first, np.array([3, -1, 3, 5, -1, -1, 3, 3]), batch_size=8)
    assert history.history["purity"] == [pytest.approx(4 / 5)]
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model.queue.labels)[:9], [3, -1, 3, 5, -1, -1, 3, 3, 3]
    )
    assert np.isfinite(one_epoch(model, views, half, batch_size=8).history["purity"][0])


def test_partial_last_batch_enters_the_queue():
    views, labels = PLUS.flat_views()
    model = golden.golden_model("isd_plus")
    twenty = {name: images[:21] for name, images in views.items()}
    one_epoch(model, twenty, labels[:21], batch_size=8)
    assert int(model.queue.pointer.value) == int(model.queue.filled.value) == 21
    np.testing.assert_array_equal(ops.convert_to_numpy(model.queue.labels)[:21], labels[:21])


def test_clipping_bounds_each_step():
    views, _ = PLUS.flat_views()
    optimizer = keras_isd.optimizers.SGD(0.5, global_clipnorm=1e-3)
    model = golden.golden_model("isd_plus", optimizer=optimizer)
    before = [ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    one_epoch(model, views, batch_size=8)
    after = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    moved = np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(after, before, strict=True)))
    assert 1e-4 < moved <= 12 * 0.5 * 1e-3


def test_gradient_accumulation_moves_the_teacher_once_an_update():
    views, _ = PLUS.flat_views()
    optimizer = golden.golden_optimizer(gradient_accumulation_steps=2)
    # From the end of the golden run, where student and teacher differ.
    model = golden.golden_model("isd_plus", PLUS.state("final"), optimizer)
    student, teacher = next(iter(model.parameter_pairs()))

    def step(number):
        rows = slice(8 * number, 8 * number + 8)
        one_epoch(model, {name: images[rows] for name, images in views.items()}, batch_size=8)
        return [ops.convert_to_numpy(v).copy() for v in (student, teacher)]

    student0, teacher0 = (ops.convert_to_numpy(v).copy() for v in (student, teacher))
    student1, teacher1 = step(0)
    student2, teacher2 = step(1)
    student3, teacher3 = step(2)
    moved = 0.99 * teacher0 + 0.01 * student0
    np.testing.assert_allclose(teacher1, moved, atol=1e-6)
    assert np.abs(teacher1 - teacher0).max() > 1e-4
    np.testing.assert_array_equal(student1, student0)  # still accumulating
    np.testing.assert_array_equal(teacher2, teacher1)  # second batch of the same update
    assert np.abs(student2 - student1).max() > 1e-4
    np.testing.assert_allclose(teacher3, 0.99 * teacher2 + 0.01 * student2, atol=1e-6)
    np.testing.assert_array_equal(student3, student2)
    assert int(model.queue.pointer.value) == 24  # every batch enters the queue


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_queue_and_teacher_in_float32(mixed_precision, policy):
    mixed_precision(policy)
    model = golden.golden_model("isd_plus")
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    if scaled:
        model.optimizer.dynamic_scale.assign(1024.0)  # a scale at which this loss does not overflow
    history = one_epoch(model, *PLUS.flat_views(), batch_size=8)
    assert model.student_backbone.get_layer("conv2").compute_dtype == policy.removeprefix("mixed_")
    for variable in (model.queue.embeddings, *model.teacher_backbone.weights):
        assert variable.dtype == "float32"
        assert np.isfinite(ops.convert_to_numpy(variable)).all()
    rows = np.linalg.norm(ops.convert_to_numpy(model.queue.embeddings), axis=1)
    np.testing.assert_allclose(rows, np.ones(64), rtol=1e-5)
    # At a temperature of 0.01 rounding to 8 bits changes the loss, but not by much.
    assert history.history["loss"][0] == pytest.approx(PLUS.losses.mean(), rel=0.3)
    moved = torch_state.largest_difference(model.predictor, PLUS.state("init"), "predict_q")
    assert moved > 0.1


def test_sample_weights_weight_the_images():
    views, labels = next(iter(PLUS.batches()))
    model = golden.golden_model("isd_plus")
    embeddings = model(views, training=True)

    def loss(weights):
        value = model.compute_loss(views, None, embeddings, sample_weight=np.array(weights))
        return float(ops.stop_gradient(value))

    alone = np.array([loss(row) for row in np.eye(8)])  # an eighth of each image's own loss
    assert np.ptp(alone) > 0.1
    assert alone.sum() == pytest.approx(PLUS.losses[0], rel=1e-4)
    assert loss(np.arange(8)) == pytest.approx(np.sum(np.arange(8) * alone), rel=1e-4)
    # and through `fit`
    history = one_epoch(golden.golden_model("isd_plus"), views, labels, sample_weight=np.full(8, 3))
    assert history.history["loss"][0] == pytest.approx(3 * PLUS.losses[0], rel=1e-4)


def test_train_on_batch_takes_the_same_steps():
    model = golden.golden_model("isd_plus")
    for step, (views, labels) in enumerate(PLUS.batches()):
        logs = model.train_on_batch(views, labels if step % 2 else None, return_dict=True)
        assert logs["loss"] == pytest.approx(PLUS.losses[step], rel=1e-4)


DEBUGGERS = {
    "tensorflow": "import tensorflow as tf; tf.debugging.enable_check_numerics()",
    "jax": "import jax; jax.config.update('jax_debug_nans', True)",
    "torch": "import torch; torch.autograd.set_detect_anomaly(True)",
}


def test_no_debugger_finds_nan_in_a_healthy_run():
    code = f"""
{DEBUGGERS[BACKEND]}
from tests.support import golden
model = golden.golden_model("isd_plus")
views, labels = golden.Trajectory("isd_plus").flat_views()
print(model.fit(views, labels, batch_size=8, shuffle=False, verbose=0).history["loss"][0])
"""
    assert float(run_python("-c", code)) == pytest.approx(PLUS.losses.mean(), rel=1e-4)
