"""Each operation agrees with Pillow, which makes the authors' views, on real photographs."""

import colorsys
import itertools

import keras
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from keras_isd import augmentation
from keras_isd.augmentation.operation import RandomApply
from tests.support.photographs import photographs, pillow, small_photographs

PHOTOGRAPHS = small_photographs()
COUNT = len(PHOTOGRAPHS)
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


def apply(operation, images=PHOTOGRAPHS, **factors):
    tensors = {name: keras.ops.convert_to_tensor(value) for name, value in factors.items()}
    images = keras.ops.convert_to_tensor(images.astype("float32"))
    if isinstance(operation, RandomApply) and "chosen" not in tensors:
        tensors["chosen"] = keras.ops.ones(len(images), "bool")
    return keras.ops.convert_to_numpy(operation.apply(keras.ops, images, **tensors))


def jitter(blends=(1, 1, 1), shift=0.0, order=(0, 1, 2, 3), images=PHOTOGRAPHS):
    def each(values, dtype):
        return np.tile(np.array(values, dtype), (len(images),) + (1,) * np.ndim(values))

    return apply(
        augmentation.ColorJitter(),
        images,
        blends=each(blends, "float32"),
        shift=each(shift, "float32"),
        order=each(order, "int32"),
    )


def assert_close(found, expected, mean=2.0, largest=6.0, share_beyond_six=0.0):
    difference = np.abs(found - np.asarray(expected, "float32"))
    assert difference.mean() <= mean
    assert difference.max() <= largest
    assert (difference > 6.0).mean() <= share_beyond_six


def shift_hue(image, shift):
    """Shifts the hue as torchvision's `adjust_hue` does for Pillow images."""
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue).astype("int32") + int(shift * 255)) % 256
    hue = Image.fromarray(turned.astype("uint8"))
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


ENHANCERS = {
    BRIGHTNESS: ImageEnhance.Brightness,
    CONTRAST: ImageEnhance.Contrast,
    SATURATION: ImageEnhance.Color,
}


@pytest.mark.parametrize("factor", [0.6, 0.83, 1.0, 1.4])
@pytest.mark.parametrize("which", list(ENHANCERS))
def test_blends_agree_with_pillow(which, factor):
    blends = [1.0, 1.0, 1.0]
    blends[which] = factor
    expected = [np.asarray(ENHANCERS[which](pillow(p)).enhance(factor)) for p in PHOTOGRAPHS]
    assert_close(jitter(blends), expected, mean=1.0, largest=2.0)


@pytest.mark.parametrize("steps", [-25, -7, 12, 25])
def test_hue_shift_agrees_with_pillow(steps):
    """Pillow truncates hue and saturation to 1/255, which costs 5 levels in a round trip."""
    shift = (steps + 0.001 * np.sign(steps)) / 255
    expected = [np.asarray(shift_hue(pillow(p), shift)) for p in PHOTOGRAPHS]
    assert_close(jitter(shift=steps / 255), expected, 0.5, largest=10.0, share_beyond_six=0.003)


def jitter_in_float(image, order, blends, shift):
    """Applies one change after the other, pixel by pixel, with Python's own HSV."""
    for which in order:
        grey = image @ [0.299, 0.587, 0.114]
        if which == HUE:
            hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in image.reshape(-1, 3)]
            turned = [colorsys.hsv_to_rgb((h + shift) % 1.0, s, v) for h, s, v in hsv]
            image = np.reshape(turned, image.shape)
        else:
            other = {BRIGHTNESS: 0.0, CONTRAST: grey.mean(), SATURATION: grey[..., None]}[which]
            image = np.clip(blends[which] * image + (1 - blends[which]) * other, 0, 255)
    return image


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_jitter_applies_changes_in_the_given_order(order):
    blends, shift = (1.35, 0.65, 1.3), 0.08
    images = PHOTOGRAPHS[:, 40:56, 40:56]
    found = jitter(blends, shift, order, images)
    expected = [jitter_in_float(image.astype("float64"), order, blends, shift) for image in images]
    np.testing.assert_allclose(found, expected, atol=0.01)
    other = jitter(blends, shift, order[::-1], images)
    assert np.abs(other - found).max() > 6


def test_images_of_a_batch_have_their_own_orders_and_factors():
    blends = np.array([[1.4, 0.6, 1.3], [0.7, 1.3, 0.6]], "float32")
    shift, order = np.array([0.08, -0.05], "float32"), np.array([[0, 3, 2, 1], [1, 2, 0, 3]])
    images = PHOTOGRAPHS[:2]
    together = apply(
        augmentation.ColorJitter(), images, blends=blends, shift=shift, order=order.astype("int32")
    )
    for i in range(2):
        alone = jitter(blends[i], shift[i], order[i], images[i : i + 1])
        np.testing.assert_allclose(together[i], alone[0], atol=1e-3)


def test_grayscale_agrees_with_pillow_and_changes_only_chosen_images():
    found = apply(augmentation.Grayscale(), chosen=np.array([True, False, True, False]))
    for i in (0, 2):
        grey = np.asarray(pillow(PHOTOGRAPHS[i]).convert("L"))[..., None]
        assert_close(found[i], np.repeat(grey, 3, axis=2), mean=0.5, largest=1.0)
    np.testing.assert_array_equal(found[1], PHOTOGRAPHS[1])


def test_flip_and_solarize_by_hand():
    images = np.array([[[[10.0] * 3, [200.0] * 3]], [[[30.0] * 3, [127.0] * 3]]])
    chosen = np.array([True, False])
    flipped = apply(augmentation.HorizontalFlip(), images, chosen=chosen)
    assert flipped[..., 0].tolist() == [[[200, 10]], [[30, 127]]]
    inverted = apply(augmentation.Solarize(), images, chosen=~chosen)
    assert inverted[..., 0].tolist() == [[[10, 200]], [[30, 127]]]
    inverted = apply(augmentation.Solarize(), images, chosen=chosen)
    assert inverted[..., 0].tolist() == [[[10, 55]], [[30, 127]]]


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_agrees_with_pillow_away_from_borders(sigma):
    """Pillow approximates a Gaussian by three box filters, and repeats the border pixels."""
    found = apply(augmentation.GaussianBlur(), sigma=np.full(COUNT, sigma, "float32"))
    expected = [np.asarray(pillow(p).filter(ImageFilter.GaussianBlur(sigma))) for p in PHOTOGRAPHS]
    inside = np.s_[:, 7:-7, 7:-7]
    # The narrower the Gaussian, the coarser its approximation by three boxes.
    largest = {0.5: 16.0, 1.0: 8.0, 2.0: 6.0}[sigma]
    assert_close(found[inside], np.stack(expected)[inside], mean=1.0, largest=largest)


def test_blur_is_the_sum_of_gaussian_weights_with_reflected_borders():
    image = np.zeros((1, 15, 15, 3), "float32")
    image[0, 1, 7] = 255.0
    found = apply(augmentation.GaussianBlur((0.1, 1.0)), image, sigma=np.array([1.0], "float32"))
    weights = np.exp(-0.5 * np.arange(-3, 4) ** 2.0)
    weights /= weights.sum()
    # The border reflects row 1 at row -1.
    column = np.zeros(15)
    for row in range(15):
        column[row] = sum(
            w for w, at in zip(weights, range(row - 3, row + 4), strict=True) if abs(at) == 1
        )
    expected = 255.0 * np.outer(column, np.concatenate([np.zeros(4), weights, np.zeros(4)]))
    np.testing.assert_allclose(found[0, ..., 0], expected, atol=1e-3)


@pytest.mark.parametrize("count", [1, COUNT])  # for a single image another branch is used
def test_images_that_are_not_chosen_do_not_change(count):
    images, chosen = PHOTOGRAPHS[:count], np.arange(count) % 2 == 1
    changes = {
        augmentation.GaussianBlur(): {"sigma": np.full(count, 2.0, "float32")},
        augmentation.ColorJitter(): {
            "blends": np.full((count, 3), 0.5, "float32"),
            "shift": np.full(count, 0.1, "float32"),
            "order": np.tile(np.arange(4, dtype="int32"), (count, 1)),
        },
        augmentation.Grayscale(): {},
        augmentation.HorizontalFlip(): {},
        augmentation.Solarize(): {},
    }
    for operation, factors in changes.items():
        found = apply(operation, images, chosen=chosen, **factors)
        changed = np.abs(found - images).max(axis=(1, 2, 3)) > 1
        np.testing.assert_array_equal(changed, chosen)
        np.testing.assert_array_equal(found[~chosen], images[~chosen])


@pytest.mark.parametrize("box", [(0, 0, 427, 640), (31, 100, 200, 151), (300, 5, 40, 33)])
@pytest.mark.parametrize("size", [32, 97])
def test_crop_and_resize_agrees_with_pillows_bilinear(box, size):
    images = np.stack(photographs())
    top, left, height, width = box
    sides = dict(zip(("top", "left", "height", "width"), box, strict=True))
    found = apply(
        augmentation.RandomResizedCrop(size),
        images,
        **{name: np.full(2, side, "float32") for name, side in sides.items()},
    )
    expected = [
        pillow(p)
        .crop((left, top, left + width, top + height))
        .resize((size, size), Image.Resampling.BILINEAR)
        for p in images
    ]
    assert_close(found, np.stack(expected), mean=0.5, largest=1.5)  # Pillow rounds twice


def test_normalize_by_hand():
    found = apply(
        augmentation.Normalize((0.2, 0.4, 0.5), (0.1, 0.2, 0.5)), np.full((1, 1, 1, 3), 51)
    )
    np.testing.assert_allclose(found[0, 0, 0], [0.0, -1.0, -0.6], atol=1e-6)
