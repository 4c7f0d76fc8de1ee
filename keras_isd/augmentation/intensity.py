"""Intensity operations for any number of channels: rescaling, jitter and normalisation."""

import keras
import numpy as np

from keras_isd.augmentation.image_normalization import pixel_places, surface_terms
from keras_isd.augmentation.operation import (
    Operation,
    RandomApply,
    between,
    per_image,
    split_planes,
)
from keras_isd.validation.arguments import (
    check_in_range,
    check_interval,
    check_positive_integer,
)
from keras_isd.validation.images import PIXEL_RANGE


@keras.saving.register_keras_serializable("keras_isd")
class Rescale(Operation):
    """Rescales a value range to [0, 255], in float32; values outside are not clipped.

    For images of more than 8 bits, which are read unchanged.

    Args:
        low, high: floats, or lists with one for each channel, which become 0 and 255.

    Raises:
        ValueError: if `low` is not below `high`, or they are not finite.
    """

    def __init__(self, low, high):
        pairs = np.stack(np.broadcast_arrays(np.atleast_1d(low), np.atleast_1d(high)), axis=-1)
        if pairs.ndim != 2 or not (np.isfinite(pairs).all() and (pairs[:, 0] < pairs[:, 1]).all()):
            raise ValueError(
                "Argument `value_range` must be finite numbers (low, high) with low < high, or "
                f"lists of them by channel. Received: ({low}, {high})"
            )
        self.low, self.high = (np.asarray(value, "float64").tolist() for value in (low, high))

    def apply(self, xp, images):
        low, high = np.asarray(self.low, "float64"), np.asarray(self.high, "float64")
        scale = PIXEL_RANGE[1] / (high - low)
        return (images - low.astype("float32")) * scale.astype("float32")


@keras.saving.register_keras_serializable("keras_isd")
class IntensityJitter(RandomApply):
    """Changes brightness and contrast by separate factors per channel, for images without colour.

    A channel v becomes `b * (c * v + (1 - c) * mean(v))`; without clipping the order of the two
    does not matter.

    Args:
        channels: int, the number of channels; or a list of those to change.
        brightness, contrast: float f; the factor is uniform in `[max(0, 1 - f), 1 + f]`. Defaults
            to 0.4.
        rate: float, probability of the operation. Defaults to 0.8.

    Raises:
        ValueError: if `channels` is not positive, or a strength is negative.
    """

    def __init__(self, channels, brightness=0.4, contrast=0.4, rate=0.8):
        super().__init__(rate)
        if isinstance(channels, int):
            check_positive_integer("channels", channels)
            channels = range(channels)
        check_in_range("brightness", brightness, 0)
        check_in_range("contrast", contrast, 0)
        self.channels = list(channels)
        self.brightness = brightness
        self.contrast = contrast

    @property
    def draws(self):
        return 1 + 2 * len(self.channels)

    def change_factors(self, xp, numbers):
        half = len(self.channels)
        return {
            name: between(part, max(0.0, 1 - f), 1.0 + f)
            for name, part, f in (
                ("brightness", numbers[:, :half], self.brightness),
                ("contrast", numbers[:, half:], self.contrast),
            )
        }

    def change(self, xp, images, brightness, contrast):
        planes = split_planes(images)
        for place, channel in enumerate(self.channels):
            b, c = (per_image(factors[:, place]) for factors in (brightness, contrast))
            mean = per_image(xp.mean(planes[channel], axis=(1, 2)))
            planes[channel] = b * (c * planes[channel] + (1.0 - c) * mean)
        return xp.stack(planes, axis=-1)


@keras.saving.register_keras_serializable("keras_isd")
class GammaJitter(RandomApply):
    """Changes the curve of the intensities: a value v in [0, 255] becomes `255 (v / 255)^g`.

    Values below 0 stay as they are.

    Args:
        gamma: pair, range of g, log-uniform. Defaults to (0.7, 1.5).
        rate: float, probability of the operation. Defaults to 0.5.
    """

    draws = 2

    def __init__(self, gamma=(0.7, 1.5), rate=0.5):
        super().__init__(rate)
        check_interval("gamma", gamma, 0, float("inf"))
        self.gamma = tuple(gamma)

    def change_factors(self, xp, numbers):
        return {"gamma": xp.exp(between(numbers[:, 0], *np.log(self.gamma).tolist()))}

    def change(self, xp, images, gamma):
        logs = xp.log(xp.maximum(images / PIXEL_RANGE[1], 1e-6))
        changed = PIXEL_RANGE[1] * xp.exp(gamma[:, None, None, None] * logs)
        return xp.where(images > 0, changed, images)


@keras.saving.register_keras_serializable("keras_isd")
class IlluminationJitter(RandomApply):
    """Changes the illumination by curved surfaces: one is added, another multiplies.

    Both are polynomials of second degree of the place with random coefficients, the same for all
    channels. The first is an uneven background, the second an uneven lamp.

    Args:
        additive: float, largest value of the first as a share of 255. Defaults to 0.15.
        multiplicative: float below 1, largest deviation of the second from 1. Defaults to 0.3.
        rate: float, probability of the operation. Defaults to 0.5.

    Raises:
        ValueError: if a strength is negative, or `multiplicative` is above 1.

    Source: for the two fields, Peng et al., "A BaSiC tool for background and shading correction of
    optical microscopy images", Nature Communications 2017.
    """

    TERMS = 5
    draws = 1 + 2 * TERMS

    def __init__(self, additive=0.15, multiplicative=0.3, rate=0.5):
        super().__init__(rate)
        check_in_range("additive", additive, 0)
        check_in_range("multiplicative", multiplicative, 0, 1)
        self.additive = additive
        self.multiplicative = multiplicative

    def change_factors(self, xp, numbers):
        # At no place is the sum of the terms larger than the sum of the coefficients' sizes.
        numbers = between(numbers, -1.0 / self.TERMS, 1.0 / self.TERMS)
        return {"added": numbers[:, : self.TERMS], "multiplied": numbers[:, self.TERMS :]}

    def change(self, xp, images, added, multiplied):
        y, x = (pixel_places(xp, side) for side in images.shape[1:3])
        _, *terms = surface_terms(2, y[None, :, None], x[None, None])

        def surface(factors):
            parts = [per_image(factors[:, i]) * term for i, term in enumerate(terms)]
            return sum(parts)[..., None]

        factor = 1.0 + self.multiplicative * surface(multiplied)
        return images * factor + PIXEL_RANGE[1] * self.additive * surface(added)


@keras.saving.register_keras_serializable("keras_isd")
class ChannelDropout(RandomApply):
    """Sets random channels to 0, each with probability `share`; one channel always stays.

    For images of several stains or bands, so that features do not depend on one of them alone.

    Args:
        channels: int, the number of channels, at least two.
        share: float, probability of each channel. Defaults to 0.2.
        rate: float, probability of the operation. Defaults to 0.5.

    Raises:
        ValueError: if `channels` is below two, or `share` is not in (0, 1).
    """

    def __init__(self, channels, share=0.2, rate=0.5):
        super().__init__(rate)
        check_positive_integer("channels", channels)
        check_in_range("channels", channels, 2)
        check_interval("share", (0, share), 0, 1)
        self.channels = channels
        self.share = share

    @property
    def draws(self):
        return 1 + self.channels

    def change_factors(self, xp, numbers):
        # The channel with the largest number stays in any case.
        largest = xp.argmax(numbers, axis=1)[:, None]
        stays = xp.arange(self.channels, dtype="int32")[None] == xp.cast(largest, "int32")
        return {"kept": xp.cast(xp.logical_or(stays, numbers >= self.share), "float32")}

    def change(self, xp, images, kept):
        return images * kept[:, None, None]


@keras.saving.register_keras_serializable("keras_isd")
class Normalize(Operation):
    """Normalises images in [0, 255] to channels of mean 0 and standard deviation 1.

    Args:
        mean, std: mean and standard deviation of each channel, for images in [0, 1].

    Raises:
        ValueError: if their lengths differ, or a value is not finite, or a deviation not positive.
    """

    def __init__(self, mean, std):
        self.mean, self.std = (tuple(map(float, values)) for values in (mean, std))
        right = len(self.mean) == len(self.std) > 0 and np.isfinite(self.mean + self.std).all()
        if not right or min(self.std) <= 0:
            raise ValueError(
                "Argument `statistics` must have a mean and a positive standard deviation for each "
                f"channel, for images in [0, 1]. Received: {mean=}, {std=}"
            )

    def apply(self, xp, images):
        planes = [
            plane * (1 / (255 * std)) - mean / std
            for plane, mean, std in zip(split_planes(images), self.mean, self.std, strict=True)
        ]
        return xp.stack(planes, axis=-1)
