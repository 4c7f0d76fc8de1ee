"""Noise of a sensor, the same for the same random numbers on every backend."""

import keras
import numpy as np

from keras_isd.augmentation.operation import RandomApply, between, per_image
from keras_isd.validation.arguments import check_in_range

MAX_VALUE = 255.0


@keras.saving.register_keras_serializable("keras_isd")
class SensorNoise(RandomApply):
    """Adds the noise of a sensor: of constant strength, and of the square root of the light.

    Each pixel v in [0, 255] gets normal noise of the variance `255^2 (g^2 + p^2 v / 255)`, the
    Poisson-Gaussian model of a camera; g and p are drawn uniformly for each image. Values below 0
    have the first part alone, and no value is clipped.

    Args:
        gaussian: float, the largest g: the noise of the dark. Defaults to 0.05.
        poisson: float, the largest p: the noise of the light at 255. Defaults to 0.05.
        rate: float, probability of the operation. Defaults to 0.5.

    Raises:
        ValueError: if a strength is negative.

    Source: Foi, Trimeche, Katkovnik and Egiazarian, "Practical Poissonian-Gaussian noise modeling
    and fitting for single-image raw-data", IEEE TIP 2008.

    Example:

    >>> noise = keras_isd.augmentation.Augmenter([keras_isd.augmentation.SensorNoise(rate=1.0)])
    >>> tuple(noise(np.zeros((4, 32, 32, 1), "uint8")).shape)
    (4, 32, 32, 1)
    """

    draws = 5

    def __init__(self, gaussian=0.05, poisson=0.05, rate=0.5):
        super().__init__(rate)
        check_in_range("gaussian", gaussian, 0)
        check_in_range("poisson", poisson, 0)
        self.gaussian = gaussian
        self.poisson = poisson

    def change_factors(self, xp, numbers):
        return {
            "gaussian": between(numbers[:, 0], 0.0, self.gaussian),
            "poisson": between(numbers[:, 1], 0.0, self.poisson),
            "seeds": numbers[:, 2:],
        }

    def change(self, xp, images, gaussian, poisson, seeds):
        gaussian, poisson = (per_image(x)[..., None] for x in (gaussian, poisson))
        light = xp.maximum(images, 0.0) / MAX_VALUE
        deviation = MAX_VALUE * xp.sqrt(gaussian * gaussian + poisson * poisson * light)
        return images + deviation * normal_pixels(xp, seeds, images.shape[1:])


def normal_pixels(xp, seeds, shape):
    """Standard normal numbers `(B, *shape)`, a function of seeds `(B, 2)` in [0, 1).

    Two hashes of the place of a pixel and its image's seeds, by the method of Box and Muller.
    """
    count = int(np.prod(shape))
    place = xp.arange(count, dtype="int32")[None]
    keys = xp.cast(seeds * 2.0**24, "int32")[:, :, None]
    one = _uniform_hash(xp, place, keys[:, 0])
    other = _uniform_hash(xp, place, keys[:, 1] + 0x3C6EF372)
    radius = xp.sqrt(-2.0 * xp.log(1.0 - one))
    return xp.reshape(radius * xp.cos(2.0 * np.pi * other), (-1, *shape))


def _uniform_hash(xp, place, key):
    """Numbers in [0, 1) of 24 bits: a hash of 32 bits, whose products overflow on purpose.

    Source: the finaliser "lowbias32" of Wellons, "Prospecting for hash functions", 2018.
    """
    x = _hash(xp, place + _hash(xp, key))
    return xp.cast(_shift(xp, x, 8), "float32") * 2.0**-24


def _hash(xp, x):
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B - 2**32)):  # as signed integers
        x = xp.bitwise_xor(x, _shift(xp, x, shift)) * factor
    return xp.bitwise_xor(x, _shift(xp, x, 16))


def _shift(xp, x, places):
    """Shifts to the right and fills with zeros, which a signed shift does not."""
    return xp.bitwise_and(xp.right_shift(x, places), (1 << (32 - places)) - 1)
