"""What an augmentation is made of: each operation draws its factors, one set an image, and applies
them to a batch.

An operation has `draws`, how many uniform numbers in [0, 1) an image costs; `factors`, from those
numbers to its factors; and `apply`. All three are plain arithmetic on arrays, on `keras.ops` or on
TensorFlow's functions (`xp` below), so that tf.data and a training step give the same pixels for
the same numbers. Images are `(B, H, W, 3)` float32 in [0, 255].
"""

import keras
import numpy as np

from keras_isd.augmentation import color, resampling


class Operation:
    """Base of the operations; the arguments of the constructor are its configuration."""

    draws = 0

    def factors(self, xp, numbers, height, width):
        """Factors of each image, a dict of arrays `(B, ...)`, of numbers `(B, draws)`."""
        return {}

    def apply(self, xp, images, **factors):
        """The images with these factors applied."""
        raise NotImplementedError

    def get_config(self):
        return dict(vars(self))

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _operation(cls):
    return keras.saving.register_keras_serializable("keras_isd")(cls)


def _between(numbers, low, high):
    return low + (high - low) * numbers


@_operation
class RandomResizedCrop(Operation):
    """A random part of the image, at another size: torchvision's `RandomResizedCrop`.

    Args:
        size: int, side of the square result in pixels.
        area: pair, share of the image's area, uniform.
        aspect_ratio: pair, width by height, log-uniform.

    Of ten tries the first that fits into the image is taken; if none does, the largest central
    part whose aspect ratio is allowed. Sizes and places are whole pixels.
    """

    TRIES = 10
    draws = 2 * TRIES + 2

    def __init__(self, size, area=(0.2, 1.0), aspect_ratio=(3 / 4, 4 / 3)):
        _check_range("area", area, 0, 1)
        _check_range("aspect_ratio", aspect_ratio, 0, float("inf"))
        self.size = size
        self.area = tuple(area)
        self.aspect_ratio = tuple(aspect_ratio)

    def factors(self, xp, numbers, height, width):
        height, width = (xp.cast(side, "float32") for side in (height, width))
        area = _between(numbers[:, : self.TRIES], *self.area) * height * width
        logs = _between(
            numbers[:, self.TRIES : 2 * self.TRIES], *np.log(self.aspect_ratio).tolist()
        )
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
        # Rounding may carry a number just below 1 to the next place.
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

    def apply(self, xp, images, top, left, height, width):
        return resampling.crop_and_resize(xp, images, top, left, height, width, self.size)


@_operation
class CentralCrop(Operation):
    """The central square, of `fraction` of the shorter side, at another size."""

    def __init__(self, size, fraction=1.0):
        _check_range("fraction", (0, fraction), 0, 1)
        self.size = size
        self.fraction = fraction

    def factors(self, xp, numbers, height, width):
        height, width = (
            xp.cast(side, "float32") + 0 * xp.sum(numbers, axis=1) for side in (height, width)
        )
        side = xp.round(xp.minimum(height, width) * self.fraction)
        top, left = xp.round((height - side) / 2), xp.round((width - side) / 2)
        return {"top": top, "left": left, "height": side, "width": side}

    apply = RandomResizedCrop.apply


@_operation
class ColorJitter(Operation):
    """Brightness, contrast, saturation and hue, in random order: torchvision's `ColorJitter`.

    Args:
        brightness, contrast, saturation: float f; the factor is uniform in
            `[max(0, 1 - f), 1 + f]`, 1 changes nothing.
        hue: float f in `[0, 0.5]`; the shift is uniform in `[-f, f]` of the circle.
        rate: float, probability that an image is changed at all.
    """

    draws = 6

    def __init__(self, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, rate=0.8):
        _check_range("hue", (0, hue), 0, 0.5)
        _check_range("rate", (0, rate), 0, 1)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.rate = rate

    def factors(self, xp, numbers, height, width):
        changed = numbers[:, 0] < self.rate
        strengths = (self.brightness, self.contrast, self.saturation)
        blends = [
            xp.where(changed, _between(numbers[:, i], max(0.0, 1 - f), 1.0 + f), 1.0)
            for i, f in enumerate(strengths, start=1)
        ]
        shift = xp.where(changed, _between(numbers[:, 4], -self.hue, self.hue), 0.0)
        orders = xp.convert_to_tensor(color.ORDERS)
        which = xp.cast(xp.floor(numbers[:, 5] * len(color.ORDERS)), "int32")
        return {
            "blends": xp.stack(blends, axis=1),
            "shift": shift,
            "order": xp.take(orders, xp.minimum(which, len(color.ORDERS) - 1), axis=0),
        }

    def apply(self, xp, images, blends, shift, order):
        return color.jitter(xp, images, blends, shift, order)


class _Sometimes(Operation):
    """An operation that an image undergoes or not."""

    draws = 1

    def __init__(self, rate):
        _check_range("rate", (0, rate), 0, 1)
        self.rate = rate

    def factors(self, xp, numbers, height, width):
        return {"chosen": numbers[:, 0] < self.rate}

    def apply(self, xp, images, chosen):
        return xp.where(chosen[:, None, None, None], self.change(xp, images), images)

    def change(self, xp, images):
        raise NotImplementedError


@_operation
class Grayscale(_Sometimes):
    """Grey images, of three equal channels, with probability `rate`."""

    def __init__(self, rate=0.2):
        super().__init__(rate)

    def change(self, xp, images):
        return color.grayscale(xp, images)


@_operation
class HorizontalFlip(_Sometimes):
    """Images with left and right exchanged, with probability `rate`."""

    def __init__(self, rate=0.5):
        super().__init__(rate)

    def change(self, xp, images):
        return xp.flip(images, axis=(2,))


@_operation
class Solarize(_Sometimes):
    """Inverts what is brighter than half (BYOL's second view), with probability `rate`."""

    def __init__(self, rate=0.2):
        super().__init__(rate)

    def change(self, xp, images):
        return xp.where(images >= 128.0, 255.0 - images, images)


@_operation
class GaussianBlur(Operation):
    """Blurs by a Gaussian of random width; borders are reflected.

    Args:
        sigma: pair, standard deviation in pixels, uniform.
        rate: float, probability that an image is blurred.
    """

    draws = 2

    def __init__(self, sigma=(0.1, 2.0), rate=0.5):
        _check_range("sigma", sigma, 0, float("inf"))
        _check_range("rate", (0, rate), 0, 1)
        self.sigma = tuple(sigma)
        self.rate = rate

    def factors(self, xp, numbers, height, width):
        sigma = _between(numbers[:, 1], *self.sigma)
        return {"sigma": xp.where(numbers[:, 0] < self.rate, sigma, 0.0)}

    def apply(self, xp, images, sigma):
        return resampling.gaussian_blur(xp, images, sigma, radius=int(np.ceil(3 * self.sigma[1])))


@_operation
class Normalize(Operation):
    """From [0, 255] to channels of mean 0 and standard deviation 1.

    Args:
        mean, std: of each channel, for images in [0, 1].
    """

    def __init__(self, mean, std):
        self.mean = tuple(mean)
        self.std = tuple(std)

    def apply(self, xp, images):
        planes = [
            images[..., i] * (1 / (255 * std)) - mean / std
            for i, (mean, std) in enumerate(zip(self.mean, self.std, strict=True))
        ]
        return xp.stack(planes, axis=-1)


def _check_range(name, pair, low, high):
    if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(
            f"Argument `{name}` must lie within [{low}, {high}], the lower first. Received: {pair}"
        )
