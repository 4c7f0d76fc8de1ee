"""Views of images with any channels and bit depth: the same arithmetic on unscaled values."""

import keras
import numpy as np
import pytest

from keras_isd import augmentation
from tests.support.photographs import small_photographs

PHOTOGRAPHS = small_photographs(48)
BANDS = np.random.default_rng(0).integers(0, 4096, (4, 48, 48, 13)).astype("uint16")
STATISTICS = ([0.5] * 13, [0.3] * 13, (0, 4095))


def numbers(augmenter, count=4, seed=0):
    return np.random.default_rng(seed).random((count, augmenter.draws)).astype("float32")


def view(augmenter, images):
    return keras.ops.convert_to_numpy(augmenter(images, numbers(augmenter, len(images))))


def test_many_channels_are_cropped_as_each_alone():
    weak = augmentation.weak(16, STATISTICS)
    found = view(weak, BANDS)
    assert found.shape == (4, 16, 16, 13)
    for channel in (0, 5, 12):
        one = augmentation.weak(16, ([0.5], [0.3], (0, 4095)))
        alone = view(one, BANDS[..., channel : channel + 1])
        np.testing.assert_allclose(found[..., channel], alone[..., 0], atol=1e-4)


def test_equal_images_of_16_and_8_bits_have_equal_views():
    deep = PHOTOGRAPHS.astype("uint16") * 257
    for policy in (augmentation.weak, augmentation.evaluation):
        shallow = policy(24)
        deeper = policy(24, (*augmentation.IMAGENET, (0, 65535)))
        np.testing.assert_allclose(view(deeper, deep), view(shallow, PHOTOGRAPHS), atol=1e-4)
    strong = augmentation.strong(24, blur=0.5)
    deeper = augmentation.strong(24, (*augmentation.IMAGENET, (0, 65535)), blur=0.5)
    # Hue is not smooth everywhere, so the last bit of float32 may matter.
    difference = np.abs(view(deeper, deep) - view(strong, PHOTOGRAPHS))
    assert np.percentile(difference, 99.9) < 1e-3


def test_values_of_sixteen_bits_are_not_cut_to_eight():
    ramp = np.broadcast_to(np.arange(4096, dtype="uint16").reshape(1, 64, 64, 1), (1, 64, 64, 1))
    found = view(augmentation.evaluation(64, ([0.0], [1.0], (0, 4095))), ramp)
    assert len(np.unique(found)) == 4096
    np.testing.assert_allclose(found.ravel(), np.arange(4096) / 4095, atol=1e-6)


def test_ranges_of_each_channel_by_hand():
    rescale = augmentation.Rescale([0, 100], [10, 300])
    images = keras.ops.convert_to_tensor(np.array([[[[5.0, 100.0], [10.0, 200.0]]]], "float32"))
    found = keras.ops.convert_to_numpy(rescale.apply(keras.ops, images))
    np.testing.assert_allclose(found[0, 0], [[127.5, 0], [255, 127.5]], rtol=1e-6)


def test_brightness_and_contrast_change_each_channel_by_its_own_factors():
    jitter = augmentation.IntensityJitter(2, brightness=0.4, contrast=0.5, rate=1.0)
    assert jitter.draws == 5
    images = np.array([10.0, 30.0, 50.0, 90.0]).reshape(1, 2, 1, 2).astype("float32")
    drawn = np.array([[0.0, 1.0, 0.0, 0.5, 1.0]], "float32")  # chosen, brightness, contrast
    factors = jitter.factors(keras.ops, keras.ops.convert_to_tensor(drawn), 2, 1)
    found = keras.ops.convert_to_numpy(
        jitter.apply(keras.ops, keras.ops.convert_to_tensor(images), **factors)
    )
    # 10 and 50 have the mean 30: contrast 1, brightness 1.4; 30 and 90 have 60: 1.5, then 0.6.
    np.testing.assert_allclose(found[0, :, 0, 0], [14, 70], rtol=1e-5)
    np.testing.assert_allclose(found[0, :, 0, 1], [0.6 * 15, 0.6 * 105], rtol=1e-5)


def test_named_channels_are_jittered_as_colours_and_the_rest_as_intensities():
    images = np.zeros((4, 48, 48, 5), "float32")
    images[..., [3, 1, 0]] = PHOTOGRAPHS
    images[..., 2] = PHOTOGRAPHS[..., 0]
    images[..., 4] = PHOTOGRAPHS[..., 1]
    jitter = augmentation.ColorJitter(rate=1.0, rgb=(3, 1, 0))
    plain = augmentation.ColorJitter(rate=1.0)
    drawn = keras.ops.convert_to_tensor(numbers(plain))

    def apply(operation, images):
        images = keras.ops.convert_to_tensor(images.astype("float32"))
        factors = operation.factors(keras.ops, drawn, 48, 48)
        return keras.ops.convert_to_numpy(operation.apply(keras.ops, images, **factors))

    found = apply(jitter, images)
    np.testing.assert_allclose(found[..., [3, 1, 0]], apply(plain, PHOTOGRAPHS), atol=1e-3)
    np.testing.assert_array_equal(found[..., [2, 4]], images[..., [2, 4]])
    kinds = [
        type(o).__name__ for o in augmentation.strong(16, STATISTICS, rgb=(3, 2, 1)).operations
    ]
    assert kinds[2:5] == ["ColorJitter", "Grayscale", "IntensityJitter"]
    changed = augmentation.strong(16, STATISTICS, rgb=(3, 2, 1)).operations[4].channels
    assert changed == [0, *range(4, 13)]


def test_without_colour_there_is_no_colour_jitter():
    strong = augmentation.strong(16, STATISTICS)
    kinds = [type(operation).__name__ for operation in strong.operations]
    assert kinds[2] == "IntensityJitter"
    assert {"ColorJitter", "Grayscale"}.isdisjoint(kinds)
    assert view(strong, BANDS).shape == (4, 16, 16, 13)


def test_the_number_of_draws_for_photographs_is_unchanged():
    """Support for other channels added no draws to the views of photographs."""
    assert augmentation.weak(16).draws == 23
    assert augmentation.strong(16).draws == 32
    assert augmentation.evaluation(16).draws == 0


@pytest.mark.parametrize("policy", [augmentation.strong, augmentation.weak])
def test_augmenters_of_many_channels_are_saved_and_loaded(policy):
    augmenter = policy(16, STATISTICS)
    config = keras.saving.serialize_keras_object(augmenter)
    restored = keras.saving.deserialize_keras_object(config)
    assert restored.channels == 13
    assert restored.value_range == (0, 4095)
    np.testing.assert_array_equal(view(restored, BANDS), view(augmenter, BANDS))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: augmentation.weak(16)(BANDS), r"`\(B, H, W, 3\)`.*\(4, 48, 48, 13\)"),
        (lambda: augmentation.weak(16, STATISTICS)(PHOTOGRAPHS), r"`\(B, H, W, 13\)`"),
        (
            lambda: augmentation.strong(16, STATISTICS, rgb=(3, 2, 13)),
            r"`rgb` must .*Received: rgb=\(3, 2, 13\)",
        ),
        (
            lambda: augmentation.ColorJitter(rgb=(1, 1, 0)),
            r"`rgb` must .*Received: rgb=\(1, 1, 0\)",
        ),
        (
            lambda: augmentation.weak(16, ([0.5], [0.0])),
            r"`statistics` must .*Received: .*std=\[0.0\]",
        ),
        (
            lambda: augmentation.weak(16, ([0.5], [0.1, 0.2])),
            r"`statistics` must .*Received: .*std=\[0.1, 0.2\]",
        ),
        (
            lambda: augmentation.weak(16, ([0.5], [0.1], (4, 4))),
            r"`value_range` must .*Received: \(4, 4\)",
        ),
        (
            lambda: augmentation.Augmenter([augmentation.Grayscale(1.0)])(BANDS[..., :1]),
            r"channels \(0, 1, 2\) for colour.*IntensityJitter.*Received: .*of 1 channels",
        ),
    ],
)
def test_wrong_channels_are_named_in_the_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
