"""The operations as keras-cv layers."""

import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="keras-cv's layers are TensorFlow's")
from keras_isd import augmentation  # noqa: E402
from tests.support.photographs import small_photographs  # noqa: E402

IMAGES = small_photographs()
OPERATIONS = [
    augmentation.RandomResizedCrop(32),
    augmentation.CentralCrop(32),
    augmentation.ColorJitter(rate=1.0),
    augmentation.Grayscale(1.0),
    augmentation.GaussianBlur(rate=1.0),
    augmentation.Solarize(1.0),
    augmentation.HorizontalFlip(1.0),
    augmentation.Normalize(*augmentation.IMAGENET),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: type(o).__name__)
def test_a_layer_runs_in_tf_data_reproducibly_and_survives_serialisation(operation):
    layer = augmentation.AugmentationLayer(operation, seed=0)
    config = keras.saving.serialize_keras_object(layer)
    twin = keras.saving.deserialize_keras_object(config)

    def epochs(layer):
        dataset = tf.data.Dataset.from_tensor_slices(IMAGES).repeat(2).batch(4).map(layer)
        return np.stack(list(dataset))

    found = epochs(layer)
    np.testing.assert_array_equal(epochs(twin), found)
    assert np.abs(found[0] - IMAGES[:, : found.shape[2], : found.shape[3]]).max() > 1
    if operation.draws > 1:
        assert np.abs(found[0] - found[1]).max() > 1


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_layer_computes_in_float32_under_mixed_precision(mixed_precision, policy):
    expected = augmentation.AugmentationLayer(augmentation.ColorJitter(), seed=5)(IMAGES)
    mixed_precision(policy)
    found = augmentation.AugmentationLayer(augmentation.ColorJitter(), seed=5)(IMAGES)
    assert found.dtype in (tf.float32, np.float32) or "float32" in str(found.dtype)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_a_layer_leaves_labels_and_takes_a_single_image():
    layer = augmentation.AugmentationLayer(augmentation.RandomResizedCrop(24), seed=0)
    found = layer({"images": IMAGES, "labels": np.array([[1.0], [2.0], [3.0], [4.0]])})
    assert tuple(found["images"].shape) == (4, 24, 24, 3)
    assert np.asarray(found["labels"]).ravel().tolist() == [1, 2, 3, 4]
    assert tuple(layer(IMAGES[0]).shape) == (24, 24, 3)
