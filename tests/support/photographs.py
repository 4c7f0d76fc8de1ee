"""Real photographs, which scikit-learn contains."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images


def photographs():
    """The two photographs of scikit-learn, `(427, 640, 3)` uint8."""
    return load_sample_images().images


def small_photographs(size=96):
    """Four parts of them, `(4, size, size, 3)` uint8."""
    corners = [(200, 100), (150, 250)]  # no empty sky
    return np.stack([p[y : y + size, x : x + size] for p in photographs() for y, x in corners])


def pillow(image):
    return Image.fromarray(image)
