"""The views of the paper and of evaluation."""

import keras
import numpy as np
import pytest

from keras_isd import augmentation

IMAGES = np.random.RandomState(0).randint(0, 256, (16, 40, 48, 3)).astype("uint8")


def unnormalised(views, statistics=augmentation.IMAGENET):
    mean, std = (np.array(s, "float32") for s in statistics)
    return keras.ops.convert_to_numpy(views) * std + mean


@pytest.mark.parametrize("make", [augmentation.weak, augmentation.strong])
def test_views_are_random_and_in_range(make):
    view = make(32)
    first, second = unnormalised(view(IMAGES)), unnormalised(view(IMAGES))
    assert first.shape == (16, 32, 32, 3)
    assert first.dtype == np.float32
    assert -1e-3 < first.min() < first.max() < 1.001
    differences = np.abs(first - second).reshape(16, -1).max(axis=1)
    assert (differences > 0.01).all()  # every image has new draws
    assert np.abs(first[0] - first[1]).max() > 0.01


def test_weak_view_keeps_colour_and_strong_view_does_not():
    red = np.zeros((64, 32, 32, 3), "uint8")
    red[..., 0] = 200
    weak = unnormalised(augmentation.weak(32)(red))
    np.testing.assert_allclose(weak[..., 0], 200 / 255, atol=1e-3)
    np.testing.assert_allclose(weak[..., 1:], 0, atol=1e-3)
    strong = unnormalised(augmentation.strong(32)(red))[:, 16, 16]
    grey = np.ptp(strong, axis=1) < 1e-3
    assert 2 <= grey.sum() <= 28  # a fifth of 64, give or take 4 standard deviations
    assert np.std(strong[~grey, 0]) > 0.02


def test_flips_half_of_the_images():
    ramp = np.tile(np.linspace(0, 255, 32)[None, None, :, None], (200, 32, 1, 3)).astype("uint8")
    views = unnormalised(augmentation.weak(32)(ramp))
    flipped = (views[:, :, 0, 0].mean(axis=1) > views[:, :, -1, 0].mean(axis=1)).sum()
    assert 70 <= flipped <= 130


def test_evaluation_view_only_resizes_and_normalises():
    flat = np.full((2, 50, 60, 3), 51, "uint8")
    views = keras.ops.convert_to_numpy(augmentation.evaluation(32, augmentation.CIFAR10)(flat))
    expected = (0.2 - np.array(augmentation.CIFAR10[0])) / np.array(augmentation.CIFAR10[1])
    np.testing.assert_allclose(views, np.broadcast_to(expected, (2, 32, 32, 3)), rtol=1e-4)


@pytest.mark.parametrize("make", [augmentation.weak, augmentation.strong, augmentation.evaluation])
@pytest.mark.parametrize("size", [(32, 32), 0, 31.5, "32"])
def test_a_size_is_one_positive_integer(make, size):
    with pytest.raises(ValueError, match=r"`size` must be a positive integer. Received: size="):
        make(size)


def test_a_blur_needs_more_pixels_than_its_radius():
    views = augmentation.strong(7)(IMAGES)
    assert np.isfinite(keras.ops.convert_to_numpy(views)).all()
    with pytest.raises(ValueError, match=r"blur=0.*Received: images of 6 x 6 pixels"):
        augmentation.strong(6)(IMAGES)
    assert augmentation.strong(6, blur=0)(IMAGES).shape == (16, 6, 6, 3)


def test_the_smallest_central_crop_is_one_pixel():
    views = unnormalised(augmentation.evaluation(32, fraction=0.01)(IMAGES))
    # The centre of 40 x 48 pixels, rounded to even: row 20 from (40 - 1) / 2, column 24.
    expected = np.broadcast_to(IMAGES[:, 20:21, 24:25] / 255, views.shape)
    np.testing.assert_allclose(views, expected, atol=1e-3)
