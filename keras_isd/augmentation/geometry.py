"""Geometric operations: crops that are resized, flips and affine maps."""

import keras
import numpy as np

from keras_isd.augmentation.operation import Operation, RandomApply, between
from keras_isd.validation.arguments import (
    check_in_range,
    check_interval,
    check_positive_integer,
)

SMALLEST_SCALE = 0.01


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

    def place(self, height, width):
        """The square of an image of this size: triple of ints, its top, left and side in pixels."""
        side = max(round(min(height, width) * self.fraction), 1)
        return round((height - side) / 2), round((width - side) / 2), side

    apply = RandomResizedCrop.apply


@keras.saving.register_keras_serializable("keras_isd")
class HorizontalFlip(RandomApply):
    """Mirrors images horizontally, with probability `rate`."""

    def __init__(self, rate=0.5):
        super().__init__(rate)

    def change(self, xp, images):
        return xp.flip(images, axis=(2,))


@keras.saving.register_keras_serializable("keras_isd")
class RandomOrientation(Operation):
    """Gives square images one of their eight orientations: flips and quarter turns.

    All eight are equally likely. For images without an up and a down: cells, tissue, the ground
    from above, surfaces.

    Raises:
        ValueError: if images are not square.

    Example:

    >>> view = keras_isd.augmentation.Augmenter([keras_isd.augmentation.RandomOrientation()])
    >>> tuple(view(np.zeros((4, 32, 32, 1), "uint8")).shape)
    (4, 32, 32, 1)
    """

    draws = 3

    def factors(self, xp, numbers, height, width):
        chosen = numbers < 0.5
        return {"mirrored": chosen[:, 0], "upturned": chosen[:, 1], "transposed": chosen[:, 2]}

    def apply(self, xp, images, mirrored, upturned, transposed):
        if images.shape[1] != images.shape[2]:
            raise ValueError(
                "Images must be square for quarter turns; crop them first. "
                f"Received: images of {images.shape[1]} x {images.shape[2]} pixels"
            )
        changes = (
            (mirrored, lambda x: xp.flip(x, axis=(2,))),
            (upturned, lambda x: xp.flip(x, axis=(1,))),
            (transposed, lambda x: xp.transpose(x, (0, 2, 1, 3))),
        )
        for chosen, change in changes:
            images = xp.where(chosen[:, None, None, None], change(images), images)
        return images


@keras.saving.register_keras_serializable("keras_isd")
class RandomErasing(RandomApply):
    """Erases a random rectangle: its pixels become the mean of the image's channel.

    Args:
        area: pair, share of the image's area, uniform. Defaults to (0.02, 0.2).
        aspect_ratio: pair, width / height, log-uniform. Defaults to (1 / 3, 3).
        rate: float, probability of the operation. Defaults to 0.5.

    Source: Zhong et al., "Random erasing data augmentation", AAAI 2020; DeVries and Taylor,
    "Improved regularization of convolutional neural networks with cutout", 2017. A rectangle may
    reach beyond the edge, as cutout's does.

    Example:

    >>> view = keras_isd.augmentation.Augmenter([keras_isd.augmentation.RandomErasing(rate=1.0)])
    >>> tuple(view(np.zeros((4, 32, 32, 1), "uint8")).shape)
    (4, 32, 32, 1)
    """

    draws = 5

    def __init__(self, area=(0.02, 0.2), aspect_ratio=(1 / 3, 3), rate=0.5):
        super().__init__(rate)
        check_interval("area", area, 0, 1)
        check_interval("aspect_ratio", aspect_ratio, 0, float("inf"))
        self.area = tuple(area)
        self.aspect_ratio = tuple(aspect_ratio)

    def change_factors(self, xp, numbers):
        share = between(numbers[:, 0], *self.area)
        ratio = xp.exp(between(numbers[:, 1], *np.log(self.aspect_ratio).tolist()))
        return {
            "height": xp.sqrt(share / ratio),
            "width": xp.sqrt(share * ratio),
            "y": numbers[:, 2],
            "x": numbers[:, 3],
        }

    def change(self, xp, images, height, width, y, x):
        """Height, width and the centre's y and x are shares of the sides."""
        rows, columns = images.shape[1:3]
        inside = [
            xp.abs((xp.cast(xp.arange(side), "float32")[None] + 0.5) / side - centre[:, None])
            < length[:, None] / 2
            for side, centre, length in ((rows, y, height), (columns, x, width))
        ]
        erased = xp.logical_and(inside[0][:, :, None], inside[1][:, None])[..., None]
        mean = xp.mean(images, axis=(1, 2), keepdims=True)
        return xp.where(erased, mean, images)


@keras.saving.register_keras_serializable("keras_isd")
class RandomAffine(Operation):
    """A random affine map of each image about its centre, with bilinear interpolation.

    The image is sheared, stretched, scaled, rotated and then translated. Its size stays the same.

    Args:
        rotation: float, largest angle in degrees. The angle is uniform in
            `[-rotation, rotation]`; positive angles turn counterclockwise. Defaults to 0.
        translation: float, largest shift as a share of the side, drawn separately and uniformly
            for each axis. Defaults to 0.
        scale: pair, range of the magnification, log-uniform. Defaults to `(1, 1)`.
        aspect_ratio: pair, range of the stretch of width by height, log-uniform, at constant
            area. Defaults to `(1, 1)`.
        shear: float below 90, largest tilt of vertical lines in degrees. The tilt is
            uniform in `[-shear, shear]`. Defaults to 0.
        fill: float, value of the pixels outside the image, in the range of the values at this
            operation. If None, they repeat the edge of the image. Defaults to None.

    Raises:
        ValueError: if an angle or `translation` is negative, a pair is not an increasing pair of
            positive numbers, or `fill` is not finite.

    Example:

    >>> affine = keras_isd.augmentation.RandomAffine(rotation=15, scale=(0.8, 1.25))
    >>> view = keras_isd.augmentation.Augmenter([affine])
    >>> tuple(view(np.zeros((4, 40, 50, 1), "uint8")).shape)
    (4, 40, 50, 1)
    """

    draws = 6

    def __init__(
        self, rotation=0, translation=0, scale=(1, 1), aspect_ratio=(1, 1), shear=0, fill=None
    ):
        check_in_range("rotation", rotation, 0, 180)
        check_in_range("translation", translation, 0)
        check_in_range("shear", shear, 0, 89)
        for name, pair in {"scale": scale, "aspect_ratio": aspect_ratio}.items():
            check_interval(name, pair, SMALLEST_SCALE, 1 / SMALLEST_SCALE)
        if fill is not None and not np.isfinite(fill):
            raise ValueError(f"Argument `fill` must be a finite number or None. Received: {fill=}")
        self.rotation = rotation
        self.translation = translation
        self.scale = tuple(scale)
        self.aspect_ratio = tuple(aspect_ratio)
        self.shear = shear
        self.fill = fill

    def factors(self, xp, numbers, height, width):
        def symmetric(column, largest):
            return between(numbers[:, column], -largest, largest)

        def log_uniform(column, pair):
            return xp.exp(between(numbers[:, column], *np.log(pair).tolist()))

        return {
            "rotation": symmetric(0, self.rotation),
            "right": symmetric(1, self.translation) * xp.cast(width, "float32"),
            "down": symmetric(2, self.translation) * xp.cast(height, "float32"),
            "scale": log_uniform(3, self.scale),
            "aspect_ratio": log_uniform(4, self.aspect_ratio),
            "shear": symmetric(5, self.shear),
        }

    def apply(self, xp, images, rotation, right, down, scale, aspect_ratio, shear):
        angle, shear = (degrees * (np.pi / 180) for degrees in (rotation, shear))
        cos, sin, tan = xp.cos(angle), xp.sin(angle), xp.sin(shear) / xp.cos(shear)
        stretch = xp.sqrt(aspect_ratio)
        across, along = 1 / (scale * stretch), stretch / scale
        # The inverse of the map: rotation and stretch, then shear. Rows count downwards.
        row = (sin * along, cos * along)
        column = (cos * across - tan * row[0], -sin * across - tan * row[1])
        height, width = images.shape[1:3]
        x = _from_centre(xp, width)[None, None] - right[:, None, None]
        y = _from_centre(xp, height)[None, :, None] - down[:, None, None]

        def source(coefficients, side):
            by_x, by_y = (value[:, None, None] for value in coefficients)
            return by_x * x + by_y * y + (side - 1) / 2

        return sample_bilinear(xp, images, source(row, height), source(column, width), self.fill)


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
    rows, columns, channels = (images.shape[i] or xp.shape(images)[i] for i in (1, 2, 3))
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


def sample_bilinear(xp, images, rows, columns, fill=None):
    """The images at any places, by bilinear interpolation.

    Args:
        xp: array functions.
        images: `(B, H, W, C)`.
        rows, columns: `(B, h, w)`, places in pixels; 0 is the centre of the first pixel.
        fill: float, value of the pixels outside the image. If None, they repeat the edge.
            Defaults to None.

    Returns:
        `(B, h, w, C)`.
    """
    height, width, channels = images.shape[1:]
    pixels = xp.reshape(images, (-1, channels))
    first = (height * width) * xp.arange(xp.shape(images)[0])[:, None, None]
    # Two pixels beyond the edge all neighbours are outside; farther places could exceed integers.
    rows = xp.clip(rows, -2.0, height + 1.0)
    columns = xp.clip(columns, -2.0, width + 1.0)
    top, left = xp.floor(rows), xp.floor(columns)
    result = 0.0
    for row, row_weight in ((top, top + 1 - rows), (top + 1, rows - top)):
        for column, column_weight in ((left, left + 1 - columns), (left + 1, columns - left)):
            inner_row = xp.clip(row, 0.0, height - 1.0)
            inner_column = xp.clip(column, 0.0, width - 1.0)
            index = first + xp.cast(inner_row, "int32") * width + xp.cast(inner_column, "int32")
            values = xp.take(pixels, index, axis=0)
            if fill is not None:
                inside = xp.logical_and(row == inner_row, column == inner_column)
                values = xp.where(inside[..., None], values, float(fill))
            result = result + (row_weight * column_weight)[..., None] * values
    return result


def _from_centre(xp, side):
    """Places of the pixels of a side, relative to the centre of the image."""
    return xp.cast(xp.arange(side), "float32") - (side - 1) / 2
