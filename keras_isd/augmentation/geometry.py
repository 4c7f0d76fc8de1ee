"""Geometric operations: crops that are resized, and flips."""

import keras
import numpy as np

from keras_isd.augmentation.operation import Operation, RandomApply, between
from keras_isd.validation.arguments import check_interval, check_positive_integer


@keras.saving.register_keras_serializable("keras_isd")
class RandomResizedCrop(Operation):
    """Crops a random part of the image and resizes it, as torchvision's `RandomResizedCrop`.

    The first of ten random crops that fits into the image is used; if none fits, the largest
    central crop with an allowed aspect ratio. Sizes and positions are whole pixels.

    Args:
        size: int, side of the square result in pixels.
        area: pair, share of the image's area, uniform. Defaults to (0.2, 1.0).
        aspect_ratio: pair, width / height, log-uniform. Defaults to (3 / 4, 4 / 3).
    """

    TRIES = 10
    draws = 2 * TRIES + 2

    def __init__(self, size, area=(0.2, 1.0), aspect_ratio=(3 / 4, 4 / 3)):
        check_positive_integer("size", size)
        check_interval("area", area, 0, 1)
        check_interval("aspect_ratio", aspect_ratio, 0, float("inf"))
        self.size = size
        self.area = tuple(area)
        self.aspect_ratio = tuple(aspect_ratio)

    def factors(self, xp, numbers, height, width):
        height, width = (xp.cast(side, "float32") for side in (height, width))
        area = between(numbers[:, : self.TRIES], *self.area) * height * width
        logs = between(numbers[:, self.TRIES : 2 * self.TRIES], *np.log(self.aspect_ratio).tolist())
        ratio = xp.exp(logs)
        widths, heights = xp.round(xp.sqrt(area * ratio)), xp.round(xp.sqrt(area / ratio))
        fits = xp.logical_and(widths <= width, heights <= height)
        fits = xp.logical_and(fits, xp.minimum(widths, heights) > 0)
        first = xp.cast(
            xp.arange(self.TRIES)[None] == xp.argmax(xp.cast(fits, "int32"), axis=1)[:, None],
            "float32",
        )
        found = xp.any(fits, axis=1)
        central = self._central(xp, height, width)
        h = xp.where(found, xp.sum(heights * first, axis=1), central[0])
        w = xp.where(found, xp.sum(widths * first, axis=1), central[1])
        # Rounding may carry a number just below 1 to the next position.
        top = xp.minimum(xp.floor(numbers[:, -2] * (height - h + 1)), height - h)
        left = xp.minimum(xp.floor(numbers[:, -1] * (width - w + 1)), width - w)
        top = xp.where(found, top, xp.floor((height - h) / 2))
        left = xp.where(found, left, xp.floor((width - w) / 2))
        return {"top": top, "left": left, "height": h, "width": w}

    def _central(self, xp, height, width):
        narrowest, widest = self.aspect_ratio
        h = xp.minimum(height, xp.round(width / narrowest))
        w = xp.minimum(width, xp.round(height * widest))
        return h, w

    def apply(self, xp, images, **factors):
        return crop_and_resize(xp, images, **factors, size=self.size)


@keras.saving.register_keras_serializable("keras_isd")
class CentralCrop(Operation):
    """Crops the central square, `fraction` of the shorter side, and resizes it to `size` pixels."""

    def __init__(self, size, fraction=1.0):
        check_positive_integer("size", size)
        check_interval("fraction", (0, fraction), 0, 1)
        self.size = size
        self.fraction = fraction

    def factors(self, xp, numbers, height, width):
        height, width = (
            xp.cast(side, "float32") + 0 * xp.sum(numbers, axis=1) for side in (height, width)
        )
        side = xp.maximum(xp.round(xp.minimum(height, width) * self.fraction), 1.0)
        top, left = xp.round((height - side) / 2), xp.round((width - side) / 2)
        return {"top": top, "left": left, "height": side, "width": side}

    apply = RandomResizedCrop.apply


@keras.saving.register_keras_serializable("keras_isd")
class HorizontalFlip(RandomApply):
    """Mirrors images horizontally, with probability `rate`."""

    def __init__(self, rate=0.5):
        super().__init__(rate)

    def change(self, xp, images):
        return xp.flip(images, axis=(2,))


def crop_and_resize(xp, images, top, left, height, width, size):
    """Crops a part of each image and resizes it, as Pillow's bilinear `resize`.

    Antialiased bilinear resizing is linear and separable: one matrix for the rows and one for the
    columns of each image. As two matrix products it is fast on accelerators, and its shapes do not
    depend on the image.

    Args:
        xp: array functions.
        images: `(B, H, W, C)`.
        top, left, height, width: `(B,)`, the part in whole pixels.
        size: int.

    Returns:
        `(B, size, size, C)`.
    """
    rows, columns, channels = images.shape[1:]
    down = _triangle_weights(xp, top, height, rows, size)
    across = _triangle_weights(xp, left, width, columns, size)
    images = xp.matmul(down, xp.reshape(images, (-1, rows, columns * channels)))
    images = xp.reshape(images, (-1, size, columns, channels))
    # Channels become an axis of their own, so that columns are contracted: (B, C, size, columns).
    planes = xp.stack([images[..., channel] for channel in range(channels)], axis=1)
    planes = xp.matmul(planes, xp.swapaxes(across, -2, -1)[:, None])
    return xp.stack([planes[:, channel] for channel in range(channels)], axis=-1)


def _triangle_weights(xp, start, length, inputs, outputs):
    """Weights `(B, outputs, inputs)` of Pillow's bilinear filter over `start` to `start + length`.

    If the image shrinks, the filter is as wide as an output pixel, for antialiasing.
    """
    scale = length / outputs
    support = xp.maximum(scale, 1.0)[:, None, None]
    centre = (xp.cast(xp.arange(outputs), "float32") + 0.5)[None] * scale[:, None]
    place = xp.cast(xp.arange(inputs), "float32")[None] + 0.5 - start[:, None]
    weights = xp.maximum(0.0, 1.0 - xp.abs(place[:, None] - centre[:, :, None]) / support)
    inside = xp.logical_and(place > 0, place < length[:, None])[:, None]
    weights = xp.where(inside, weights, 0.0)
    return weights / xp.sum(weights, axis=-1, keepdims=True)
