"""Jitter of the stains of haematoxylin and eosin."""

import keras
import numpy as np

from keras_isd.augmentation.operation import RandomApply, between
from keras_isd.validation.arguments import check_in_range

# Absorption of red, green and blue by haematoxylin, eosin and DAB (Ruifrok and Johnston).
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
LEAST_LIGHT = 1e-6


@keras.saving.register_keras_serializable("keras_isd")
class StainJitter(RandomApply):
    """Changes the stains of a microscope slide, as between laboratories and scanners.

    Colours are separated into the amounts of haematoxylin, eosin and a rest; each amount s becomes
    `a s + b` with factors of its own, and the amounts are mixed to colours again. Images are RGB in
    [0, 255], and the result is clipped to that range.

    Args:
        scale: float f below 1; a is uniform in `[1 - f, 1 + f]`. Defaults to 0.2.
        shift: float; b is uniform in `[-shift, shift]`, in units of scikit-image's `rgb2hed`, in
            which amounts lie within about 0.2. Defaults to 0.02.
        rate: float, probability of the operation. Defaults to 0.8.

    Raises:
        ValueError: if `scale` is not in [0, 1], or `shift` is negative.

    Source: Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution",
    2001; Tellez et al., "Whole-slide mitosis detection in H&E breast histology using PHH3", 2018.

    Example:

    >>> stain = keras_isd.augmentation.Augmenter([keras_isd.augmentation.StainJitter()])
    >>> tuple(stain(np.full((4, 32, 32, 3), 200, "uint8")).shape)
    (4, 32, 32, 3)
    """

    draws = 7

    def __init__(self, scale=0.2, shift=0.02, rate=0.8):
        super().__init__(rate)
        check_in_range("scale", scale, 0, 1)
        check_in_range("shift", shift, 0)
        self.scale = scale
        self.shift = shift

    def change_factors(self, xp, numbers):
        return {
            "scale": between(numbers[:, :3], 1.0 - self.scale, 1.0 + self.scale),
            "shift": between(numbers[:, 3:], -self.shift, self.shift),
        }

    def change(self, xp, images, scale, shift):
        light = xp.maximum(images / 255.0, LEAST_LIGHT)
        unit = float(np.log(LEAST_LIGHT))  # amounts are logarithms to the base of the least light
        absorbed = xp.log(light) / unit
        amounts = xp.matmul(absorbed, np.linalg.inv(STAINS).astype("float32"))
        # Light that a stain would add is set to none, as in scikit-image.
        amounts = xp.maximum(amounts, 0.0)
        amounts = scale[:, None, None] * amounts + shift[:, None, None]
        absorbed = xp.matmul(amounts, STAINS.astype("float32"))
        return 255.0 * xp.clip(xp.exp(absorbed * unit), 0.0, 1.0)
