"""A loaded model equals the saved one, to the last bit of the next steps."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_isd
from tests.support import golden
from tests.support.processes import run_python

PLUS = golden.Trajectory("isd_plus")


def state(model):
    variables = [*model.weights, *model.optimizer.variables]
    return [ops.convert_to_numpy(v).copy() for v in variables]


def assert_same_state(model, other):
    for found, wanted in zip(state(other), state(model), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.fixture
def trained():
    model = golden.golden_model("isd_plus")
    views, labels = PLUS.flat_views()
    first = {name: view[:36] for name, view in views.items()}  # ends in a partial batch
    model.fit(first, labels[:36], batch_size=8, shuffle=False, verbose=0)
    return model


def test_a_new_process_resumes_to_the_last_bit(tmp_path):
    whole, first, second = (tmp_path / f"{name}.npz" for name in ("whole", "first", "second"))
    saved = tmp_path / "model.keras"
    script = ("-m", "tests.support.training_script")
    run_python(*script, whole, "--steps", 9)
    run_python(*script, first, "--steps", 4, "--save", saved)
    run_python(*script, second, "--first", 4, "--steps", 5, "--load", saved)
    with np.load(whole) as one, np.load(first) as two, np.load(second) as three:
        np.testing.assert_array_equal(two["loss"], one["loss"][:4])
        np.testing.assert_array_equal(three["loss"], one["loss"][4:])
        for name in one.files:
            if name.startswith("weight/"):
                np.testing.assert_array_equal(three[name], one[name], err_msg=name)


def test_a_keras_file_restores_everything(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is keras_isd.ISDModel
    for name in ("queue_size", "teacher_temperature", "student_temperature", "teacher_momentum"):
        assert loaded.get_config()[name] == trained.get_config()[name]
    assert_same_state(trained, loaded)
    assert int(loaded.queue.pointer.value) == int(loaded.queue.filled.value) == 36
    assert len(loaded.trainable_variables) == 18  # the teacher is still frozen
    assert isinstance(loaded.optimizer, keras_isd.optimizers.SGD)
    images = PLUS.flat_views()[0]["query"]
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), trained.predict(images, verbose=0)
    )


def test_a_weights_file_restores_everything(trained, tmp_path, recwarn):
    trained.save_weights(tmp_path / "model.weights.h5")
    fresh = golden.golden_model("isd_plus")
    fresh.load_weights(tmp_path / "model.weights.h5")
    assert_same_state(trained, fresh)
    assert not [w for w in recwarn if "optimizer" in str(w.message)]


def plain_backbone():
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(6, 3), layers.GlobalMaxPooling2D()]
    )


def test_models_with_other_parts_survive_saving(tmp_path):
    model = keras_isd.ISDModel(plain_backbone(), queue_size=12, seed=3, name="mine")
    model.save(tmp_path / "model.keras")  # not compiled, no heads
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.name, loaded.projector, loaded.predictor) == ("mine", None, None)
    for found, wanted in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(found), ops.convert_to_numpy(wanted))


def test_a_queue_in_bfloat16_trains_and_survives_saving(tmp_path):
    backbone = plain_backbone()
    losses = {}
    for dtype in ("float32", "bfloat16"):
        model = keras_isd.ISDModel(
            keras.models.clone_model(backbone), queue_size=12, seed=3, queue_dtype=dtype
        )
        model.student_backbone.set_weights(backbone.get_weights())
        model.teacher_backbone.set_weights(backbone.get_weights())
        model.compile(keras_isd.optimizers.SGD(0.01))
        views = PLUS.flat_views()[0]
        history = model.fit(views, batch_size=8, shuffle=False, verbose=0, epochs=2).history
        losses[dtype] = history["loss"]
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], rtol=0.05)
    assert losses["bfloat16"] != losses["float32"]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.queue.embeddings.dtype == "bfloat16"
    rows, expected = (ops.cast(m.queue.embeddings, "float32") for m in (loaded, model))
    np.testing.assert_array_equal(ops.convert_to_numpy(rows), ops.convert_to_numpy(expected))


def test_loss_scaling_survives_saving(mixed_precision, tmp_path):
    mixed_precision("mixed_float16")
    model = golden.golden_model("isd_plus")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(loaded.optimizer.inner_optimizer, keras_isd.optimizers.SGD)


@pytest.mark.parametrize("asked", ["auto", True, False])
def test_jit_compile_is_saved_as_it_was_given(asked, tmp_path):
    if asked is True and keras.backend.backend() == "torch":
        pytest.skip("torch.compile takes minutes and is not tested here")
    model = golden.golden_model("isd_plus", jit_compile=asked)
    assert model.get_compile_config()["jit_compile"] == asked
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config()["jit_compile"] == asked
    assert loaded.jit_compile == model.jit_compile
