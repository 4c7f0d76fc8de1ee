"""A folder of 16-bit images with thirteen bands, from files to features."""

import keras
import numpy as np
import pytest

import keras_isd
from keras_isd import augmentation, data, evaluation

tifffile = pytest.importorskip("tifffile")


@pytest.fixture
def folder(tmp_path):
    """Two classes, whose bands differ in brightness."""
    random = np.random.default_rng(0)
    for number in range(24):
        kind = "water" if number % 2 else "forest"
        (tmp_path / kind).mkdir(exist_ok=True)
        level = np.linspace(200, 3000, 13)[:: 1 if number % 2 else -1, None, None]
        image = random.normal(level, 100, (13, 24, 20)).astype("uint16")
        tifffile.imwrite(tmp_path / kind / f"{number}.tif", image)
    return tmp_path


def test_a_network_trained_on_bands_separates_the_classes(folder):
    pytest.importorskip("tensorflow", reason="tf.data makes the views")
    source = data.from_folder(folder)
    assert (source.channels, source.dtype) == (13, "uint16")
    statistics = data.channel_statistics(source, verbose=0)
    keras.utils.set_random_seed(0)
    model = keras_isd.ISDModel.from_recipe(
        "cifar_resnet18",
        backbone=keras_isd.backbones.ResNet18((16, 16, 13), "small", width=8),
        queue_size=32,
    )
    model.compile(keras_isd.optimizers.SGD(0.05))
    batches = data.two_view_dataset(
        source,
        augmentation.strong(16, statistics, blur=0),
        augmentation.weak(16, statistics),
        batch_size=8,
        seed=0,
    )
    history = model.fit(batches, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    view = augmentation.evaluation(16, statistics)
    found = evaluation.extract_features(
        model, data.one_view_dataset(source, view, 8), names=source.names, verbose=0
    )
    assert found.features.shape == (24, 64)
    assert found.names[0].endswith("forest/0.tif")
    accuracy = evaluation.knn_accuracy(
        found.features[::2], found.labels[::2], found.features[1::2], found.labels[1::2], k=1
    )
    assert accuracy["top1"] == 1.0


def test_views_of_bands_are_made_inside_the_step():
    random = np.random.default_rng(0)
    images = random.integers(0, 4096, (32, 20, 20, 5)).astype("uint16")
    statistics = data.channel_statistics(data.from_arrays(images), (0, 4095), verbose=0)
    keras.utils.set_random_seed(0)
    model = keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((16, 16, 5), (4, 8)),
        queue_size=32,
        query_augmenter=augmentation.strong(16, statistics, blur=0),
        key_augmenter=augmentation.weak(16, statistics),
    )
    model.compile(keras_isd.optimizers.SGD(0.05))
    history = model.fit(images, batch_size=8, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_recipe_takes_any_number_of_channels():
    model = keras_isd.ISDModel.from_recipe("resnet18", input_shape=(96, 96, 5), queue_size=256)
    assert model.student_backbone.input_shape == (None, 96, 96, 5)
    assert model(np.zeros((2, 96, 96, 5), "float32")).shape == (2, 512)


def test_images_outside_the_range_of_their_views_log_a_warning(caplog):
    images = np.random.default_rng(0).integers(0, 284, (16, 16, 16, 1)).astype("uint16")
    model = keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((16, 16, 1), (4,)),
        queue_size=16,
        query_augmenter=augmentation.weak(16, ([0.5], [0.3], (0, 65535))),
        key_augmenter=augmentation.weak(16, ([0.5], [0.3], (0, 65535))),
    )
    model.compile(keras_isd.optimizers.SGD(0.05))
    with caplog.at_level("WARNING", logger="absl"):
        model.fit(images, batch_size=8, verbose=0)
    assert "pixels in [0, 65535]" in caplog.text
    assert "channel_statistics" in caplog.text
