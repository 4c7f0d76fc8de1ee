"""Distillation from a frozen teacher."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_isd
from tests.support import golden
from tests.support.processes import run_python

BACKEND = keras.backend.backend()
RANDOM = np.random.RandomState(0)
PIXELS = RANDOM.randint(0, 256, (32, 8, 8, 3)).astype("uint8")
FEATURES = RANDOM.rand(32, 6).astype("float32")
VIEWS, LABELS = golden.Trajectory("isd_plus").flat_views()


def as_numpy(x):
    return ops.convert_to_numpy(x)


def network(width=6, seed=0, size=8, normalized=False):
    """Network from images to `width` features; unless `normalized`, it is the same in training."""
    keras.utils.set_random_seed(seed)
    stack = [layers.Conv2D(5, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    if normalized:
        stack.insert(1, layers.BatchNormalization())
    return keras.Sequential([keras.Input((size, size, 3)), *stack, layers.Dense(width)])


def compiled(model, **kwargs):
    model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9), **kwargs)
    return model


def distillation(teacher, **kwargs):
    arguments = {
        "projector": network_head(),
        "queue_size": 24,
        "seed": 0,
        "teacher_temperature": 0.1,
        "student_temperature": 0.1,
        "teacher_center": None,
        **kwargs,
    }
    return compiled(keras_isd.DistillationModel(network(8, seed=1), teacher, **arguments))


def network_head():
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input((8,)), layers.Dense(6)], name="projector")


def trained(model, views, epochs=2):
    history = model.fit(views, LABELS, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return history.history, [as_numpy(v) for v in model.trainable_variables]


def test_the_loss_of_one_image_by_hand():
    images = keras.Input((1, 1, 2))
    flat = keras.Model(images, layers.Flatten()(images))
    model = keras_isd.DistillationModel(
        flat,
        2,
        projector=keras.Sequential([keras.Input((2,)), layers.Identity()]),
        anchors=[[2, 0], [0, 3]],
        teacher_temperature=0.5,
        student_temperature=0.1,
        teacher_center=None,
    )
    model.compile("sgd")
    query = np.array([[2.0, 2.0]], "float32").reshape(1, 1, 1, 2)
    batch = {"query": query, "key": np.array([[3.0, 0.0]])}
    logs = model.evaluate(batch, verbose=0, return_dict=True)
    p = np.exp(2) / (np.exp(2) + 1)  # similarities 1 and 0; the student's are equal
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    assert logs["loss"] == pytest.approx(np.log(2) - entropy, rel=1e-5)
    assert logs["teacher_entropy"] == pytest.approx(entropy, rel=1e-5)


def test_distillation_equals_isd_with_a_fixed_teacher():
    isd = compiled(
        keras_isd.ISDModel(
            network(8, seed=1),
            network_head(),
            queue_size=24,
            teacher_temperature=0.1,
            student_temperature=0.1,
            teacher_momentum=1.0,
            seed=0,
        )
    )
    images = keras.Input((8, 8, 3))
    teacher = keras.Model(images, isd.teacher_projector(isd.teacher_backbone(images)))
    teacher = keras.models.clone_model(teacher)
    teacher.set_weights([*isd.teacher_backbone.get_weights(), *isd.teacher_projector.get_weights()])
    found, weights = trained(distillation(teacher), VIEWS)
    expected, isd_weights = trained(isd, VIEWS)
    for name in ("loss", "purity", "teacher_entropy", "embedding_std"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, err_msg=name)
    for one, other in zip(weights, isd_weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("center", [None, np.arange(6) / 10, "mean"])
def test_stored_features_equal_the_teacher_in_the_step(center):
    teacher = network(normalized=True)
    features = teacher.predict(VIEWS["key"], verbose=0)
    in_step = trained(distillation(teacher, teacher_center=center), VIEWS)
    stored = distillation(6, teacher_center=center)
    stored = trained(stored, {"query": VIEWS["query"], "key": features})
    np.testing.assert_allclose(stored[0]["loss"], in_step[0]["loss"], rtol=1e-4)
    for one, other in zip(stored[1], in_step[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_center_is_subtracted_before_normalisation():
    model = distillation(6, teacher_center=FEATURES.mean(0))
    expected = FEATURES - FEATURES.mean(0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(as_numpy(model.embed_key(FEATURES)), expected, atol=1e-5)


def test_the_default_center_is_the_mean_of_all_features_of_training():
    model = compiled(keras_isd.DistillationModel(network(8, seed=1), 6, queue_size=24))
    batch = {"query": VIEWS["query"][:32], "key": FEATURES}
    model.evaluate(batch, verbose=0)
    np.testing.assert_array_equal(as_numpy(model.center.mean), 0)
    model.fit(
        batch, batch_size=10, shuffle=False, epochs=2, verbose=0
    )  # batches of 10, 10, 10 and 2
    np.testing.assert_allclose(as_numpy(model.center.mean), FEATURES.mean(0), rtol=1e-5)
    assert as_numpy(model.center.count) == 64
    with_anchors = keras_isd.DistillationModel(network(8, seed=1), 6, anchors=FEATURES)
    np.testing.assert_allclose(as_numpy(with_anchors.center.mean), FEATURES.mean(0), rtol=1e-5)
    compiled(with_anchors).fit({**batch, "key": batch["key"] + 1}, batch_size=8, verbose=0)
    np.testing.assert_allclose(as_numpy(with_anchors.center.mean), FEATURES.mean(0), rtol=1e-5)


def test_a_step_without_a_finite_loss_does_not_change_the_center():
    model = compiled(keras_isd.DistillationModel(network(8, seed=1), 6, queue_size=24))
    model.fit({"query": VIEWS["query"][:32], "key": FEATURES}, batch_size=8, verbose=0)
    before = as_numpy(model.center.mean)
    with pytest.raises(keras_isd.models.NonFiniteLossError):
        model.fit({"query": VIEWS["query"][:32], "key": FEATURES * np.nan}, verbose=0)
    np.testing.assert_array_equal(as_numpy(model.center.mean), before)


def test_the_teacher_is_never_trained_and_none_of_its_variables_is_copied():
    teacher = network(normalized=True)
    model = distillation(teacher)
    model.trainable = False
    model.trainable = True
    compiled(model)
    before = [as_numpy(v) for v in teacher.variables]
    trained(model, VIEWS)
    for variable, value in zip(teacher.variables, before, strict=True):
        np.testing.assert_array_equal(as_numpy(variable), value)
    frozen = {id(v) for v in teacher.variables}
    assert frozen <= {id(v) for v in model.variables}  # as JAX requires
    for others in (
        model.trainable_variables,
        model.guarded_variables(),
        model.state_variables(),
    ):
        assert not frozen & {id(v) for v in others}


def test_given_anchors_do_not_change():
    model = distillation(6, anchors=FEATURES, teacher_center=np.full(6, 0.5))
    assert model.queue.size == 32
    before = as_numpy(model.queue.embeddings)
    np.testing.assert_allclose(before, as_numpy(model.embed_key(FEATURES)), atol=1e-6)
    views = {"query": VIEWS["query"], "key": RANDOM.rand(96, 6)}
    trained(model, views)
    np.testing.assert_array_equal(as_numpy(model.queue.embeddings), before)


def test_several_views_of_an_image_share_its_key():
    several = distillation(6, query_views=2)
    views = {"query": np.stack([VIEWS["query"], VIEWS["key"]], axis=1), "key": RANDOM.rand(96, 6)}
    found, weights = trained(several, views)
    # By hand: each key is used twice, and enters the queue once.
    one = distillation(6)
    expected = []
    for start in [*range(0, 96, 8)] * 2:
        rows = slice(start, start + 8)
        pairs = {"query": views["query"][rows].reshape(16, 8, 8, 3)}
        pairs["key"] = np.repeat(views["key"][rows], 2, axis=0)
        one.reset_metrics()
        queue = [as_numpy(v) for v in one.queue.variables]
        logs = one.train_on_batch(pairs, np.repeat(LABELS[rows], 2), return_dict=True)
        expected.append(logs)
        for variable, value in zip(one.queue.variables, queue, strict=True):
            variable.assign(value)
        one.queue.enqueue(as_numpy(one.embed_key(views["key"][rows])), LABELS[rows])
    for name in ("loss", "purity", "teacher_entropy"):
        means = np.reshape([logs[name] for logs in expected], (2, 12)).mean(axis=1)
        np.testing.assert_allclose(found[name], means, rtol=1e-4, err_msg=name)
    for one_weight, other in zip(weights, one.trainable_variables, strict=True):
        np.testing.assert_allclose(one_weight, as_numpy(other), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(as_numpy(several.queue.embeddings), as_numpy(one.queue.embeddings))


def test_several_views_are_made_in_the_step_and_weighted_by_image(tmp_path):
    weak = keras_isd.augmentation.weak(8)
    model = distillation(6, query_augmenter=weak, query_views=3)
    batch = {"images": PIXELS, "key": FEATURES}
    weights = np.arange(32) / 16
    made = as_numpy(model.two_views(PIXELS, training=True)["query"])
    assert made.shape == (32, 3, 8, 8, 3)
    assert np.abs(made[:, 0] - made[:, 1]).max() > 0.1
    model.fit(batch, np.full(32, -1), sample_weight=weights, batch_size=8, verbose=0)
    assert int(as_numpy(model.queue.filled)) == 24
    assert int(as_numpy(model.queue.pointer)) == 32 % 24
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(batch, verbose=0) == pytest.approx(model.evaluate(batch, verbose=0))


def test_both_views_are_made_in_the_step_for_networks_of_other_sizes():
    weak = keras_isd.augmentation.weak(8)
    large = keras_isd.augmentation.evaluation(16)
    teacher = network(size=16)
    model = distillation(teacher, query_augmenter=weak, teacher_augmenter=large)
    history = model.fit(PIXELS, batch_size=8, verbose=0).history
    model = distillation(teacher, query_augmenter=weak, teacher_augmenter=large)
    shuffled = model.fit(PIXELS, batch_size=8, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"] + shuffled["loss"]).all()
    expected = as_numpy(model.embed_key(large(PIXELS[-8:])))
    queue = as_numpy(model.queue.embeddings)
    pointer = int(as_numpy(model.queue.pointer))
    newest = np.take(queue, np.arange(pointer - 8, pointer), axis=0, mode="wrap")
    np.testing.assert_allclose(newest, expected, atol=1e-5)


@pytest.mark.parametrize("save_teacher", [False, True])
def test_files_contain_the_teacher_only_with_save_teacher(save_teacher, tmp_path):
    keras.utils.set_random_seed(0)
    large = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(5000), layers.Dense(6)]
    )
    model = distillation(large, save_teacher=save_teacher)
    trained(model, VIEWS, epochs=1)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    assert (loaded.teacher is not None) == save_teacher
    own = [model.student_backbone, model.projector, model.queue]
    smallest = 4 * sum(np.prod(v.shape) for part in own for v in part.variables)
    assert save_teacher == (path.stat().st_size > 3_000_000)
    assert save_teacher or path.stat().st_size < smallest + 100_000
    if not save_teacher:
        with pytest.raises(ValueError, match=r'under "key" the teacher\'s features \(batch, 6\)'):
            loaded.evaluate(VIEWS, verbose=0)
        loaded.attach_teacher(large)
    for one, other in zip(
        trained(loaded, VIEWS, epochs=1)[1], trained(model, VIEWS, epochs=1)[1], strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_settings_survive_saving(tmp_path):
    weak = keras_isd.augmentation.weak(8)
    model = distillation(6, anchors=FEATURES, teacher_center=FEATURES.mean(0), query_augmenter=weak)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    batch = {"images": PIXELS, "key": FEATURES}
    assert loaded.evaluate(batch, verbose=0) == pytest.approx(model.evaluate(batch, verbose=0))
    compiled(loaded).fit(batch, batch_size=8, verbose=0)
    np.testing.assert_array_equal(
        as_numpy(loaded.queue.embeddings), as_numpy(model.queue.embeddings)
    )


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path):
    teacher = network(normalized=True)

    def run(directory, epochs):
        resume = keras_isd.callbacks.Resume(directory)
        model = distillation(teacher, teacher_center="mean")
        model.fit(
            VIEWS,
            batch_size=8,
            epochs=epochs,
            initial_epoch=resume.initial_epoch,
            shuffle=False,
            verbose=0,
            callbacks=[resume],
        )
        own = (*model.trainable_variables, *model.queue.variables, *model.center.variables)
        return [as_numpy(v) for v in own]

    whole = run(tmp_path / "whole", 3)
    run(tmp_path / "parts", 1)
    for one, other in zip(run(tmp_path / "parts", 3), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_student_in_half_precision_learns_from_a_float32_teacher():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        student = network(8, seed=1)
    finally:
        keras.config.set_dtype_policy("float32")
    model = keras_isd.DistillationModel(student, network(normalized=True), queue_size=24)
    history, _ = trained(compiled(model), VIEWS)
    assert history["loss"][1] < history["loss"][0]
    assert model.queue.embeddings.dtype == "float32"


def test_callbacks_measure_only_the_student():
    model = distillation(network())
    labelled = [(VIEWS["query"], LABELS)]
    callbacks = [
        keras_isd.callbacks.KNNEvaluation(labelled, labelled, k=3),
        keras_isd.callbacks.HealthMonitor(),
    ]
    logs = model.fit(VIEWS, LABELS, batch_size=8, verbose=0, callbacks=callbacks).history
    assert "knn_student" in logs
    assert "knn_teacher" not in logs
    assert "effective_rank" in logs


@pytest.mark.skipif(BACKEND == "torch", reason="Keras 3.15 does not distribute batches on PyTorch")
@pytest.mark.parametrize("cached", [False, True])
def test_two_devices_train_as_one(cached):
    code = f"""
import numpy as np
from tests.models.distillation_model_test import *
from tests.support import replicas_script
import contextlib, sys
views, labels = VIEWS, LABELS
devices = int(sys.argv[1])
scope = contextlib.nullcontext()
if devices > 1:
    scope = replicas_script.{BACKEND}_scope(*{(2,) if BACKEND == "tensorflow" else (2, False)})
with scope:
    teacher = {"6" if cached else "network(normalized=True)"}
    model = distillation(teacher, teacher_center="mean")
    key = np.random.RandomState(5).rand(96, 6).astype("float32") if {cached} else views["key"]
    history, weights = trained(model, {{"query": views["query"], "key": key}})
print(history["loss"], float(sum(np.abs(w).sum() for w in weights)))
"""
    found = [run_python("-c", code, count).split("\n")[-2] for count in (1, 2)]
    one, two = (
        [float(x) for x in line.replace("[", "").replace("]", "").replace(",", " ").split()]
        for line in found
    )
    np.testing.assert_allclose(one, two, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"teacher": 0}, "`teacher` must .*Received: teacher=0"),
        ({"teacher": "vit"}, "`teacher` must .*Received: teacher='vit'"),
        ({"teacher": 7}, "`projector` must .*7.*Received: projector with an output width of 6"),
        ({"teacher_center": "median"}, "`teacher_center` must .*Received: teacher_center='median'"),
        ({"teacher_center": np.zeros(5)}, r"`teacher_center`.*shape \(6,\).*shape \(5,\)"),
        ({"anchors": np.full((3, 6), np.nan)}, r"`anchors` must .*Received: .*18 not finite"),
        (
            {"teacher_augmenter": keras_isd.augmentation.weak(8)},
            "`teacher_augmenter` must .*Received: query_augmenter=None",
        ),
        ({"query_augmenter": np.flip}, "`query_augmenter` must .*Received: <"),
        ({"symmetric": True}, "`symmetric` must .*Received: symmetric=True"),
        ({"query_views": 0}, "`query_views` must .*Received: query_views=0"),
    ],
)
def test_wrong_arguments_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        distillation(**{"teacher": 6, **arguments})


@pytest.mark.parametrize(
    ("teacher", "batch", "message"),
    [
        (6, {"query": VIEWS["query"]}, 'under "key" the teacher\'s features'),
        (6, VIEWS, 'under "key" the teacher\'s features'),
        (network, {"query": VIEWS["query"][:32], "key": FEATURES}, 'under "key" images'),
        (6, {"images": PIXELS, "key": FEATURES}, 'under "query" images'),
        (6, {"query": PIXELS, "key": FEATURES[:, :5]}, r"features \(batch, 6\)"),
        (
            {"query_views": 2},
            {"query": np.zeros((32, 3, 8, 8, 3)), "key": FEATURES},
            r'under "query" images \(batch, 2, height, width, channels\). Received: .*, 3, 8, 8, 3',
        ),
    ],
)
def test_wrong_batches_are_rejected(teacher, batch, message):
    several = teacher if isinstance(teacher, dict) else {}
    model = distillation(teacher() if callable(teacher) else 6, **several)
    with pytest.raises(ValueError, match=message):
        model.fit(batch, batch_size=8, verbose=0)


def test_a_teacher_with_the_students_variables_and_a_second_teacher_are_rejected():
    student = network(8, seed=1)
    with pytest.raises(ValueError, match=r"`network` must .*Received: "):
        keras_isd.DistillationModel(student, student, queue_size=8)
    model = distillation(network())
    with pytest.raises(ValueError, match=r"cannot be replaced.*Received: "):
        model.attach_teacher(network())
