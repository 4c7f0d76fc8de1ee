"""Layers of Keras and keras-cv in place of an `Augmenter`, and the paper's views as layers."""

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import keras_isd
from keras_isd import augmentation, data
from tests.support.photographs import photographs, small_photographs

IMAGES = np.concatenate([small_photographs(48)] * 4)


def chain():
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=1),
            layers.RandomRotation(0.1, seed=2),
            layers.Resizing(16, 16),
            layers.Rescaling(1 / 64, offset=-2.0),
        ]
    )


def model(**arguments):
    keras.utils.set_random_seed(0)
    made = keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((16, 16, 3), (4, 8)), queue_size=16, **arguments
    )
    made.compile(keras_isd.optimizers.SGD(0.05))
    return made


@pytest.mark.parametrize("form", ["sequential", "list"])
def test_a_chain_of_layers_makes_views_in_tf_data(form, caplog):
    pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    view = chain() if form == "sequential" else chain().layers
    with caplog.at_level("WARNING", logger="absl"):
        batches = data.two_view_dataset(data.from_arrays(IMAGES), view, view, 8, seed=0)
    assert "The query is made by RandomFlip, RandomRotation, Resizing, Rescaling" in caplog.text
    first = next(iter(batches))
    assert first["query"].shape == (8, 16, 16, 3)
    assert np.abs(first["query"] - first["key"]).max() > 0.1
    history = model().fit(batches, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_chain_of_layers_takes_files_of_many_sizes(tmp_path):
    pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    for number, side in enumerate((40, 50, 60, 70)):
        Image.fromarray(photographs()[0][:side, : 2 * side]).save(tmp_path / f"{number}.png")
    source = data.from_folder(tmp_path)
    batches = data.two_view_dataset(source, chain(), augmentation.weak(16), 2, seed=0)
    assert next(iter(batches))["query"].shape == (2, 16, 16, 3)
    batches = data.one_view_dataset(source, layers.Resizing(8, 8), 4)
    [views] = list(batches)
    assert views.shape == (4, 8, 8, 3)
    with pytest.raises(ValueError, match=r"`Augmenter`.*Received: "):
        data.two_view_dataset(source, layers.RandomFlip(), layers.RandomFlip(), 2)


def test_a_chain_of_layers_makes_views_in_the_step(caplog):
    with caplog.at_level("WARNING", logger="absl"):
        made = model(query_augmenter=chain(), key_augmenter=augmentation.weak(16))
    assert "The query is made by RandomFlip" in caplog.text
    history = made.fit(IMAGES, batch_size=8, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_layers_of_other_channels_make_views_in_the_step():
    images = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 5)).astype("uint8")
    normalize = layers.Normalization(mean=[100.0] * 5, variance=[50.0] * 5)
    made = keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((16, 16, 5), (4,)),
        queue_size=16,
        query_augmenter=[layers.RandomFlip(), normalize],
        key_augmenter=[layers.RandomFlip(), normalize],
    )
    made.compile(keras_isd.optimizers.SGD(0.05))
    history = made.fit(images, batch_size=8, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_layers_draw_new_numbers_in_every_step():
    """The seeds of layers are variables of the model, so a step does not repeat its predecessor."""
    made = model(query_augmenter=chain(), key_augmenter=augmentation.weak(16))
    seeds = [v for v in made.variables if "seed" in v.path]
    before = [keras.ops.convert_to_numpy(seed).copy() for seed in seeds]
    made.fit(IMAGES, batch_size=8, epochs=1, verbose=0)
    moved = [not np.array_equal(keras.ops.convert_to_numpy(a), b) for a, b in zip(seeds, before)]
    assert sum(moved) >= 2


def test_a_model_with_layers_for_views_is_saved(tmp_path):
    made = model(query_augmenter=chain(), key_augmenter=augmentation.weak(16))
    made.fit(IMAGES, batch_size=8, verbose=0)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    views = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(loaded(views)),
        keras.ops.convert_to_numpy(made(views)),
        rtol=1e-5,
    )
    loaded.fit(IMAGES, batch_size=8, verbose=0)


def test_stock_layers_of_keras_cv_make_views_in_tf_data():
    pytest.importorskip("tensorflow", reason="keras-cv's layers are TensorFlow's")
    import keras_cv

    view = keras_cv.layers.Augmenter(
        [
            keras_cv.layers.RandomFlip(),
            keras_cv.layers.RandomColorJitter(
                (0, 255), brightness_factor=0.2, contrast_factor=0.2, saturation_factor=0.2,
                hue_factor=0.05,
            ),
            keras_cv.layers.RandomCropAndResize((16, 16), (0.3, 1.0), (0.75, 1.33)),
        ]
    )  # fmt: skip
    scale = layers.Rescaling(1 / 64, offset=-2.0)
    batches = data.two_view_dataset(data.from_arrays(IMAGES), [view, scale], [view, scale], 8)
    history = model().fit(batches, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize("policy", ["weak", "strong"])
def test_the_papers_views_are_layers_of_keras_cv_with_equal_pixels(policy):
    tf = pytest.importorskip("tensorflow", reason="keras-cv's layers are TensorFlow's")
    augmenter = {
        "weak": augmentation.weak(16),
        "strong": augmentation.strong(16, blur=0),
    }[policy]
    layer = augmentation.AugmentationLayer(augmenter, seed=5)
    found = next(iter(tf.data.Dataset.from_tensor_slices(IMAGES).batch(8).map(layer)))
    numbers = tf.random.Generator.from_seed(5).uniform((8, augmenter.draws))
    wanted = augmenter.apply(tf.cast(IMAGES[:8], tf.float32), numbers)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert restored.operation.draws == augmenter.draws
