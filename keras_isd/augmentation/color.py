"""Colour operations: grayscale, colour jitter, solarisation.

Greys, blends and hue are defined as in Pillow and torchvision, in float. Channels are split first:
arithmetic on planes `(B, H, W)` is several times faster than on a last axis of size three.
"""

import itertools
import numbers

import keras
import numpy as np

from keras_isd.augmentation.operation import (
    RandomApply,
    between,
    is_single_image,
    per_image,
    split_planes,
)
from keras_isd.validation.arguments import check_interval

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
RGB = (0, 1, 2)
ORDERS = np.array(list(itertools.permutations(range(4))), "int32")


@keras.saving.register_keras_serializable("keras_isd")
class ColorJitter(RandomApply):
    """Changes brightness, contrast, saturation and hue in random order, as torchvision does.

    Args:
        brightness, contrast, saturation: float f; the factor is uniform in
            `[max(0, 1 - f), 1 + f]`, and 1 changes nothing. Defaults to 0.4.
        hue: float f in `[0, 0.5]`; the shift is uniform in `[-f, f]` of the circle. Defaults to
            0.1.
        rate: float, probability of the operation. Defaults to 0.8.
        rgb: triple of ints, the red, green and blue channels; others are unchanged. Defaults to
            (0, 1, 2).

    Source: `torchvision.transforms.ColorJitter`.
    """

    draws = 6

    def __init__(self, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, rate=0.8, rgb=RGB):
        super().__init__(rate)
        self.rgb = _check_rgb(rgb)
        check_interval("hue", (0, hue), 0, 0.5)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue

    def change_factors(self, xp, numbers):
        strengths = (self.brightness, self.contrast, self.saturation)
        blends = [between(numbers[:, i], max(0.0, 1 - f), 1.0 + f) for i, f in enumerate(strengths)]
        which = xp.cast(xp.floor(numbers[:, 4] * len(ORDERS)), "int32")
        which = xp.minimum(which, len(ORDERS) - 1)
        return {
            "blends": xp.stack(blends, axis=1),
            "shift": between(numbers[:, 3], -self.hue, self.hue),
            "order": xp.take(xp.convert_to_tensor(ORDERS), which, axis=0),
        }

    def change(self, xp, images, blends, shift, order):
        jitter = _jitter_one if is_single_image(images) else _jitter_all
        return _change_rgb(
            xp, images, self.rgb, lambda planes: jitter(xp, planes, blends, shift, order)
        )


@keras.saving.register_keras_serializable("keras_isd")
class Grayscale(RandomApply):
    """Makes images grey, with three equal channels as in Pillow's mode "L".

    Args:
        rate: float, probability of the operation. Defaults to 0.2.
        rgb: triple of ints, the red, green and blue channels; others are unchanged. Defaults to
            (0, 1, 2).
    """

    def __init__(self, rate=0.2, rgb=RGB):
        super().__init__(rate)
        self.rgb = _check_rgb(rgb)

    def change(self, xp, images):
        return _change_rgb(xp, images, self.rgb, lambda planes: [_grey(planes)] * 3)


@keras.saving.register_keras_serializable("keras_isd")
class Solarize(RandomApply):
    """Inverts values of at least 128, with probability `rate`, as in BYOL's second view."""

    def __init__(self, rate=0.2):
        super().__init__(rate)

    def change(self, xp, images):
        return xp.where(images >= 128.0, 255.0 - images, images)


def _check_rgb(rgb):
    rgb = tuple(rgb)
    if len(set(rgb)) != 3 or not all(isinstance(i, numbers.Integral) and int(i) >= 0 for i in rgb):
        raise ValueError(
            "Argument `rgb` must be the indices of the red, green and blue channels. "
            f"Received: {rgb=}"
        )
    return tuple(map(int, rgb))


def _change_rgb(xp, images, rgb, change):
    """Changes the red, green and blue planes of images."""
    planes = split_planes(images)
    if max(rgb) >= len(planes):
        raise ValueError(
            f"Images must have the channels {rgb} for colour operations. For images without colour "
            "use `IntensityJitter`, as `strong` does for statistics of other than three channels. "
            f"Received: images of {len(planes)} channels"
        )
    for channel, plane in zip(rgb, change([planes[channel] for channel in rgb])):
        planes[channel] = plane
    return xp.stack(planes, axis=-1)


def _grey(planes):
    red, green, blue = planes
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _mean_grey(xp, planes):
    return xp.mean(_grey(planes), axis=(1, 2))


def _jitter_one(xp, planes, blends, shift, order):
    """Applies the four changes to one image, in its order."""

    def blend(which, other):
        factor = per_image(blends[:, which])
        return lambda planes: _blend(xp, planes, factor, (1.0 - factor) * other(planes))

    changes = [
        blend(BRIGHTNESS, lambda planes: 0.0),
        blend(CONTRAST, lambda planes: per_image(_mean_grey(xp, planes))),
        blend(SATURATION, _grey),
        lambda planes: _shift_hue(xp, planes, shift),
    ]
    return xp.fori_loop(
        0, 4, lambda slot, planes: xp.switch(order[0, slot], changes, planes), planes
    )


def _jitter_all(xp, planes, blends, shift, order):
    """Applies the four changes to images with different orders, with the same arithmetic for all.

    Three changes are blends with one formula. The most expensive one, the hue, is shifted once for
    all images: the blends that precede an image's hue are applied before it, the others after it;
    inactive slots have a factor of 1.
    """
    before_hue = _slots_before_hue(xp, order)
    for slot in range(3):
        planes = _blend_slot(xp, planes, blends, order[:, slot], before_hue[slot])
    planes = _shift_hue(xp, planes, shift)
    for slot in range(1, 4):
        planes = _blend_slot(xp, planes, blends, order[:, slot], 1.0 - before_hue[slot])
    return planes


def _slots_before_hue(xp, order):
    """For each of four slots `(B,)`: 1 if the image's hue comes later, else 0."""
    is_hue = [xp.cast(order[:, slot] == HUE, "float32") for slot in range(4)]
    return [sum(is_hue[slot + 1 :], start=0.0 * is_hue[0]) for slot in range(4)]


def _blend_slot(xp, planes, blends, operation, active):
    """Blends each image by its operation, if it is active."""
    is_chosen = [xp.cast(operation == index, "float32") * active for index in range(3)]
    away = [is_chosen[i] * (1.0 - blends[:, i]) for i in range(3)]  # the other image's share
    other = per_image(away[CONTRAST] * _mean_grey(xp, planes))
    other = other + per_image(away[SATURATION]) * _grey(planes)
    return _blend(xp, planes, per_image(1.0 - sum(away)), other)


def _blend(xp, planes, factor, other):
    """Adds `factor` of the image and a share of another: black, its mean grey or its grey."""
    return [xp.clip(factor * plane + other, 0.0, 255.0) for plane in planes]


def _shift_hue(xp, planes, shift):
    """Rotates the hue of HSV by `shift` of the circle; value and saturation are unchanged."""
    red, green, blue = planes
    value = xp.maximum(xp.maximum(red, green), blue)
    chroma = value - xp.minimum(xp.minimum(red, green), blue)
    scale = 1.0 / xp.where(chroma > 0, chroma, 1.0)
    # Hue in sixths of the circle, starting at red.
    hue = xp.where(
        value == red,
        (green - blue) * scale,
        xp.where(value == green, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale),
    )
    hue = hue + per_image(6.0 * shift)
    turned = []
    for start in (5.0, 3.0, 1.0):  # red, green, blue: the closed form of HSV to RGB
        place = hue + start
        place = place - 6.0 * xp.floor(place / 6.0)
        turned.append(value - chroma * xp.clip(xp.minimum(place, 4.0 - place), 0.0, 1.0))
    return turned
