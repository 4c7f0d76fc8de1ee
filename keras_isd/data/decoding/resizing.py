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
    return _of_planes(part, (size, size))


def central_square(image, size):
    """The central square of an image, of its shorter side, `size` pixels squared, of its dtype."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    part = image[top : top + side, left : left + side]
    return _of_dtype(part, (size, size))


def with_shorter_side(image, size):
    """An image whose shorter side has `size` pixels, of its dtype; a smaller one stays as it is."""
    height, width = image.shape[:2]
    shorter = min(height, width)
    if shorter <= size:
        return image
    return _of_dtype(image, (round(height * size / shorter), round(width * size / shorter)))


def with_longer_side(image, size):
    """An image whose longer side has `size` pixels, of its dtype; a smaller one stays as it is."""
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer <= size:
        return image
    return _of_dtype(image, tuple(max(1, round(side * size / longer)) for side in (height, width)))


def _of_dtype(image, size):
    if image.dtype == "uint8" and image.shape[-1] == 3:
        resized = Image.fromarray(np.ascontiguousarray(image))
        return np.asarray(resized.resize(size[::-1], Image.Resampling.BILINEAR))
    resized = _of_planes(image, size)
    return (resized if image.dtype.kind == "f" else np.rint(resized)).astype(image.dtype)


def _of_planes(image, size):
    planes = [
        Image.fromarray(np.ascontiguousarray(image[..., channel], "float32")).resize(
            size[::-1], Image.Resampling.BILINEAR
        )
        for channel in range(image.shape[-1])
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
