"""Colours of images: grey, blends and hue, as Pillow and torchvision define them, in float.

Images are `(B, H, W, 3)` in [0, 255]. The three channels are taken apart first: arithmetic on
planes is several times quicker than on a last axis of three.
"""

import itertools

import numpy as np

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
ORDERS = np.array(list(itertools.permutations(range(4))), "int32")


def grayscale(xp, images):
    """Grey as Pillow's mode "L" weighs it, in three equal channels."""
    grey = _grey(_planes(images))
    return xp.stack([grey, grey, grey], axis=-1)


def jitter(xp, images, blends, shift, order):
    """Changes brightness, contrast, saturation and hue of each image, in its own order.

    Args:
        xp: array functions.
        images: `(B, H, W, 3)`.
        blends: `(B, 3)`, factors of brightness, contrast and saturation; 1 changes nothing.
        shift: `(B,)`, of the hue, as a share of the circle.
        order: `(B, 4)` integers, a row of `ORDERS` for each image.

    The first three are all blends, of the image with black, with its mean grey and with its own
    grey, so one formula serves whichever comes first. The hue, which costs most, is shifted once,
    for all images together: before it come the blends that an image has before its hue, then
    those it has after; in the other slots the factor is 1.
    """
    planes = _planes(images)
    before_hue = _slots_before_hue(xp, order)
    for slot in range(3):
        planes = _blend(xp, planes, blends, order[:, slot], before_hue[slot])
    planes = _shift_hue(xp, planes, shift)
    for slot in range(1, 4):
        planes = _blend(xp, planes, blends, order[:, slot], 1.0 - before_hue[slot])
    return xp.stack(planes, axis=-1)


def _planes(images):
    return [images[..., channel] for channel in range(3)]


def _grey(planes):
    red, green, blue = planes
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _per_image(values):
    return values[:, None, None]


def _slots_before_hue(xp, order):
    """For each of four slots `(B,)`: 1 where the image's hue comes later, else 0."""
    is_hue = [xp.cast(order[:, slot] == HUE, "float32") for slot in range(4)]
    return [sum(is_hue[slot + 1 :], start=0.0 * is_hue[0]) for slot in range(4)]


def _blend(xp, planes, blends, operation, active):
    """Blends images with black, their mean grey or their grey; an inactive one stays."""
    is_one = [xp.cast(operation == index, "float32") * active for index in range(3)]
    away = sum(is_one[i] * (1.0 - blends[:, i]) for i in range(3))  # the other image's share
    grey = _grey(planes)
    mean = xp.mean(grey, axis=(1, 2))
    other = _per_image(is_one[CONTRAST] * away * mean)
    other = other + _per_image(is_one[SATURATION] * away) * grey
    return [xp.clip(_per_image(1.0 - away) * plane + other, 0.0, 255.0) for plane in planes]


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
    hue = hue + _per_image(6.0 * shift)
    turned = []
    for start in (5.0, 3.0, 1.0):  # of red, green, blue: the usual closed form of HSV to RGB
        place = hue + start
        place = place - 6.0 * xp.floor(place / 6.0)
        turned.append(value - chroma * xp.clip(xp.minimum(place, 4.0 - place), 0.0, 1.0))
    return turned
