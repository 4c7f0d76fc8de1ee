"""Parts of an image at another size, by Pillow, without TensorFlow and without a backend."""

import numpy as np
from PIL import Image


def crop_and_resize(image, top, left, height, width, size):
    """A part of an image, `size` pixels squared, bilinear with antialiasing, in float32.

    To rounding what `keras_isd.augmentation` makes of it; for images whose sizes differ, of which
    a backend that compiles would compile each anew.

    Args:
        image: `(H, W, C)` array.
        top, left, height, width: ints, the part.
        size: int.

    Returns:
        `(size, size, C)` float32 array.
    """
    part = image[top : top + height, left : left + width]
    return _of_planes(part, size)


def central_square(image, size):
    """The central square of an image, of its shorter side, `size` pixels squared, of its dtype."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    part = image[top : top + side, left : left + side]
    if image.dtype == "uint8" and image.shape[-1] == 3:
        resized = Image.fromarray(part).resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(resized)
    resized = _of_planes(part, size)
    return (resized if image.dtype.kind == "f" else np.rint(resized)).astype(image.dtype)


def _of_planes(part, size):
    planes = [
        Image.fromarray(np.ascontiguousarray(part[..., channel], "float32")).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        for channel in range(part.shape[-1])
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
