"""Gaussian blur with a random width per image."""

import keras
import numpy as np

from keras_isd.augmentation.operation import RandomApply, between
from keras_isd.validation.arguments import check_interval


@keras.saving.register_keras_serializable("keras_isd")
class GaussianBlur(RandomApply):
    """Blurs with a Gaussian of random width; borders are reflected.

    Args:
        sigma: pair, standard deviation in pixels, uniform. Defaults to (0.1, 2.0).
        rate: float, probability of the operation. Defaults to 0.5.
    """

    draws = 2

    def __init__(self, sigma=(0.1, 2.0), rate=0.5):
        super().__init__(rate)
        check_interval("sigma", sigma, 0, float("inf"))
        self.sigma = tuple(sigma)

    def change_factors(self, xp, numbers):
        return {"sigma": between(numbers[:, 0], *self.sigma)}

    def change(self, xp, images, sigma):
        # A radius of three sigma omits 0.3 % of the weights.
        radius = int(np.ceil(3 * self.sigma[1]))
        if min(images.shape[1:3]) <= radius:
            raise ValueError(
                f"Images must have more than {radius} pixels a side for a blur with a sigma of up "
                f"to {self.sigma[1]}: use a smaller `sigma` or no blur (`strong(size, blur=0)`). "
                f"Received: images of {images.shape[1]} x {images.shape[2]} pixels"
            )
        return gaussian_blur(xp, images, sigma, radius)


def gaussian_blur(xp, images, sigma, radius):
    """Blurs each image with its own Gaussian.

    Args:
        xp: array functions.
        images: `(B, H, W, C)`, H and W greater than `radius`.
        sigma: `(B,)`, in pixels; 0 changes nothing.
        radius: int, pixels on each side of the centre.

    Returns:
        `(B, H, W, C)`.
    """
    offsets = xp.cast(xp.arange(radius + 1), "float32")[None]
    weights = xp.exp(-0.5 * (offsets / xp.maximum(sigma, 1e-3)[:, None]) ** 2)
    total = 2.0 * xp.sum(weights, axis=1, keepdims=True) - 1.0  # the centre counts once
    weights = (weights / total)[:, :, None, None, None]
    for axis in (1, 2):
        length = images.shape[axis]
        padding = [[0, 0]] * 4
        padding[axis] = [radius, radius]
        padded = xp.pad(images, padding, mode="reflect")

        def shifted(by, padded=padded, axis=axis, length=length):
            window = slice(radius + by, radius + by + length)
            return padded[:, window] if axis == 1 else padded[:, :, window]

        images = weights[:, 0] * images
        for offset in range(1, radius + 1):
            images = images + weights[:, offset] * (shifted(-offset) + shifted(offset))
    return images
