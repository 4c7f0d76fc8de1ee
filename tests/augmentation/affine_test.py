"""`RandomAffine` compared with SciPy's affine transform, in tf.data and in the step."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from keras_isd import augmentation
from tests.support.photographs import small_photographs

PHOTOGRAPHS = small_photographs(48)[:, :40]  # 40 x 48 pixels
COUNT = len(PHOTOGRAPHS)
ALL = {
    "rotation": 30,
    "translation": 0.2,
    "scale": (0.7, 1.5),
    "aspect_ratio": (0.7, 1.4),
    "shear": 20,
}
IDENTITY = {
    "rotation": 0.0, "right": 0.0, "down": 0.0, "scale": 1.0, "aspect_ratio": 1.0, "shear": 0.0,
}  # fmt: skip


def apply(images, fill=None, **factors):
    """The images with these factors, a number or one number for each image."""
    images = keras.ops.convert_to_tensor(np.asarray(images, "float32"))
    factors = {
        name: keras.ops.convert_to_tensor(np.full(len(images), value, "float32"))
        for name, value in (IDENTITY | factors).items()
    }
    operation = augmentation.RandomAffine(fill=fill)
    return keras.ops.convert_to_numpy(operation.apply(keras.ops, images, **factors))


def expected_by_scipy(image, mode, fill, rotation, right, down, scale, aspect_ratio, shear):
    """The documented composition of maps, inverted numerically."""
    angle, tan = np.radians(rotation), np.tan(np.radians(shear))
    cos, sin = np.cos(angle), np.sin(angle)
    # On (x, y), y downwards.
    sheared = np.array([[1, tan], [0, 1]])
    stretched = scale * np.diag([np.sqrt(aspect_ratio), 1 / np.sqrt(aspect_ratio)])
    turned = np.array([[cos, sin], [-sin, cos]])
    inverse = np.linalg.inv(turned @ stretched @ sheared)[::-1, ::-1]  # on (row, column)
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre - inverse @ (centre + np.array([down, right]))
    planes = [
        ndimage.affine_transform(plane, inverse, offset, order=1, mode=mode, cval=fill)
        for plane in np.moveaxis(image.astype("float64"), -1, 0)
    ]
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize(("fill", "mode"), [(None, "nearest"), (17.0, "grid-constant")])
def test_affine_maps_are_those_of_scipy(fill, mode):
    operation = augmentation.RandomAffine(**ALL, fill=fill)
    numbers = np.random.RandomState(0).rand(COUNT, operation.draws).astype("float32")
    factors = operation.factors(keras.ops, keras.ops.convert_to_tensor(numbers), 40, 48)
    factors = {name: keras.ops.convert_to_numpy(value) for name, value in factors.items()}
    found = apply(PHOTOGRAPHS, fill, **factors)
    for i, image in enumerate(PHOTOGRAPHS):
        own = {name: value[i] for name, value in factors.items()}
        expected = expected_by_scipy(image, mode, fill or 0.0, **own)
        np.testing.assert_allclose(found[i], expected, atol=0.05)


def test_a_quarter_turn_a_shift_and_a_magnification_by_hand():
    image = np.arange(9.0).reshape(1, 3, 3, 1)
    turned = apply(image, rotation=90)  # counterclockwise
    np.testing.assert_allclose(turned[0, ..., 0], [[2, 5, 8], [1, 4, 7], [0, 3, 6]], atol=1e-5)
    shifted = apply(image, right=1, down=-1)
    assert shifted[0, ..., 0].tolist() == [[3, 3, 4], [6, 6, 7], [6, 6, 7]]
    filled = apply(image, fill=-1.0, right=1, down=-1)
    assert filled[0, ..., 0].tolist() == [[-1, 3, 4], [-1, 6, 7], [-1, -1, -1]]
    enlarged = apply(image, scale=2.0)
    np.testing.assert_allclose(enlarged[0, ..., 0], [[2, 2.5, 3], [3.5, 4, 4.5], [5, 5.5, 6]])


def test_without_factors_images_stay_bit_for_bit():
    augmenter = augmentation.Augmenter([augmentation.RandomAffine()])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(augmenter(PHOTOGRAPHS)), PHOTOGRAPHS)


def test_factors_stay_within_their_ranges():
    operation = augmentation.RandomAffine(**ALL)
    numbers = np.random.RandomState(0).rand(5000, operation.draws).astype("float32")
    factors = operation.factors(keras.ops, keras.ops.convert_to_tensor(numbers), 40, 50)
    ranges = {
        "rotation": (-30, 30), "right": (-10, 10), "down": (-8, 8), "scale": (0.7, 1.5),
        "aspect_ratio": (0.7, 1.4), "shear": (-20, 20),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        values = keras.ops.convert_to_numpy(factors[name])
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high
        if name in ("scale", "aspect_ratio"):
            values, low, high = np.log(values), np.log(low), np.log(high)
        assert abs(values.mean() - (low + high) / 2) < 0.02 * (high - low)  # uniform


@pytest.mark.parametrize("fill", [None, 0.0])
def test_tf_data_and_the_step_have_equal_pixels(fill):
    tf = pytest.importorskip("tensorflow", reason="tf.data belongs to TensorFlow")
    augmenter = augmentation.Augmenter([augmentation.RandomAffine(**ALL, fill=fill)])
    numbers = np.random.RandomState(1).rand(COUNT, augmenter.draws).astype("float32")
    compiled = tf.function(augmenter, jit_compile=True)
    dataset = tf.data.Dataset.from_tensors((PHOTOGRAPHS, numbers)).map(compiled)
    in_step = keras.ops.convert_to_numpy(augmenter(PHOTOGRAPHS, numbers))
    np.testing.assert_allclose(in_step, next(iter(dataset)).numpy(), atol=0.02)  # grey levels


def test_saved_and_loaded_operations_are_equal():
    augmenter = augmentation.Augmenter([augmentation.RandomAffine(**ALL, fill=3.0)])
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(augmenter))
    assert twin.operations[0].get_config() == augmenter.operations[0].get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rotation": -1}, r"`rotation` must be in \[0, 180\]. Received: rotation=-1"),
        ({"translation": -0.1}, "`translation` must be at least 0"),
        ({"scale": (1.2, 0.8)}, r"`scale` must .*Received: scale=\(1.2, 0.8\)"),
        ({"aspect_ratio": (0, 1)}, r"`aspect_ratio` must .*Received: aspect_ratio=\(0, 1\)"),
        ({"shear": 90}, "`shear` must be in"),
        ({"fill": float("nan")}, "`fill` must be a finite number or None"),
    ],
)
def test_ranges_without_meaning_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        augmentation.RandomAffine(**arguments)
