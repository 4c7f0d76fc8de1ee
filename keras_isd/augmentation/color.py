"""Colours of images: grey, jitter, solarisation.

Greys, blends and hue are as Pillow and torchvision define them, in float. The channels are taken
apart first: arithmetic on planes `(B, H, W)` is several times quicker than on a last axis of three.
"""

import itertools
import numbers

import keras
import numpy as np

from keras_isd.augmentation.operation import RandomApply, between, is_one, per_image, planes_of
from keras_isd.validation.arguments import check_interval

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
RGB = (0, 1, 2)
ORDERS = np.array(list(itertools.permutations(range(4))), "int32")


@keras.saving.register_keras_serializable("keras_isd")
class ColorJitter(RandomApply):
    """Brightness, contrast, saturation and hue, in random order: torchvision's `ColorJitter`.

    Args:
        brightness, contrast, saturation: float f; the factor is uniform in
            `[max(0, 1 - f), 1 + f]`, 1 changes nothing.
        hue: float f in `[0, 0.5]`; the shift is uniform in `[-f, f]` of the circle.
        rate: float, probability that an image is changed at all.
        rgb: triple of ints, which channels are red, green and blue. Others stay as they are.
    """

    draws = 6

    def __init__(self, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, rate=0.8, rgb=RGB):
        super().__init__(rate)
        self.rgb = _checked_rgb(rgb)
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
        jitter = _jitter_one if is_one(images) else _jitter_all
        return _change_rgb(
            xp, images, self.rgb, lambda planes: jitter(xp, planes, blends, shift, order)
        )


@keras.saving.register_keras_serializable("keras_isd")
class Grayscale(RandomApply):
    """Grey images, of three equal channels, with probability `rate`; grey as in Pillow's "L".

    Args:
        rate: float, the probability.
        rgb: triple of ints, which channels are red, green and blue. Others stay as they are.
    """

    def __init__(self, rate=0.2, rgb=RGB):
        super().__init__(rate)
        self.rgb = _checked_rgb(rgb)

    def change(self, xp, images):
        return _change_rgb(xp, images, self.rgb, lambda planes: [_grey(planes)] * 3)


@keras.saving.register_keras_serializable("keras_isd")
class Solarize(RandomApply):
    """Inverts what is brighter than half (BYOL's second view), with probability `rate`."""

    def __init__(self, rate=0.2):
        super().__init__(rate)

    def change(self, xp, images):
        return xp.where(images >= 128.0, 255.0 - images, images)


def _checked_rgb(rgb):
    rgb = tuple(rgb)
    if len(set(rgb)) != 3 or not all(isinstance(i, numbers.Integral) and int(i) >= 0 for i in rgb):
        raise ValueError(
            "Argument `rgb` must be the numbers of three channels: red, green and blue. "
            f"Received: {rgb=}"
        )
    return tuple(map(int, rgb))


def _change_rgb(xp, images, rgb, change):
    """The images with a change of their red, green and blue planes."""
    planes = planes_of(images)
    if max(rgb) >= len(planes):
        raise ValueError(
            f"Colours take images with the channels {rgb}, red, green and blue. For images without "
            "colour see `IntensityJitter`, which `strong` takes where its statistics are not of "
            f"three channels. Received: images of {len(planes)} channels"
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
    """The four changes of one image, one after the other as its order says."""

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
    """The four changes of images whose orders differ, with the same arithmetic for all.

    Three are blends, so one formula serves whichever comes first. The hue, which costs most, is
    shifted once, for all images together: before it come the blends that an image has before its
    hue, then those it has after; in the other slots the factor is 1.
    """
    before_hue = _slots_before_hue(xp, order)
    for slot in range(3):
        planes = _blend_slot(xp, planes, blends, order[:, slot], before_hue[slot])
    planes = _shift_hue(xp, planes, shift)
    for slot in range(1, 4):
        planes = _blend_slot(xp, planes, blends, order[:, slot], 1.0 - before_hue[slot])
    return planes


def _slots_before_hue(xp, order):
    """For each of four slots `(B,)`: 1 where the image's hue comes later, else 0."""
    is_hue = [xp.cast(order[:, slot] == HUE, "float32") for slot in range(4)]
    return [sum(is_hue[slot + 1 :], start=0.0 * is_hue[0]) for slot in range(4)]


def _blend_slot(xp, planes, blends, operation, active):
    """Blends each image as its operation says, where it is active."""
    is_it = [xp.cast(operation == index, "float32") * active for index in range(3)]
    away = [is_it[i] * (1.0 - blends[:, i]) for i in range(3)]  # the other image's share
    other = per_image(away[CONTRAST] * _mean_grey(xp, planes))
    other = other + per_image(away[SATURATION]) * _grey(planes)
    return _blend(xp, planes, per_image(1.0 - sum(away)), other)


def _blend(xp, planes, factor, other):
    """`factor` of the image and what is added of another: black, its mean grey or its grey."""
    return [xp.clip(factor * plane + other, 0.0, 255.0) for plane in planes]


def _shift_hue(xp, planes, shift):
    """Turns the hue of HSV by `shift` of the circle; value and saturation stay."""
    red, green, blue = planes
    value = xp.maximum(xp.maximum(red, green), blue)
    chroma = value - xp.minimum(xp.minimum(red, green), blue)
    scale = 1.0 / xp.where(chroma > 0, chroma, 1.0)
    # Hue in sixths of the circle, from red.
    hue = xp.where(
        value == red,
        (green - blue) * scale,
        xp.where(value == green, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale),
    )
    hue = hue + per_image(6.0 * shift)
    turned = []
    for start in (5.0, 3.0, 1.0):  # of red, green, blue: the usual closed form of HSV to RGB
        place = hue + start
        place = place - 6.0 * xp.floor(place / 6.0)
        turned.append(value - chroma * xp.clip(xp.minimum(place, 4.0 - place), 0.0, 1.0))
    return turned
