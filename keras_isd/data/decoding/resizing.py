"""Crops and resizes images with Pillow, without TensorFlow or a backend."""

import numpy as np
from PIL import Image


def crop_and_resize(image, top, left, height, width, size):
    """Crops a part of an image and resizes it to a square, bilinearly with antialiasing.

    The result equals that of `keras_isd.augmentation` up to rounding. It serves images of different
    sizes, because a compiling backend would compile a program for each size.

    Args:
        image: `(H, W, C)` array.
        top, left, height, width: ints, the part in pixels.
        size: int, side of the result in pixels.

    Returns:
        `(size, size, C)` float32 array.
    """
    part = image[top : top + height, left : left + width]
    return _resize_planes(part, (size, size))


def crop_central_square(image, size):
    """Crops the largest central square and resizes it to `size` pixels; keeps the dtype."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    part = image[top : top + side, left : left + side]
    return resize_image(part, (size, size))


def limit_shorter_side(image, size):
    """Resizes an image so that its shorter side has at most `size` pixels; keeps the dtype."""
    height, width = image.shape[:2]
    shorter = min(height, width)
    if shorter <= size:
        return image
    return resize_image(image, (round(height * size / shorter), round(width * size / shorter)))


def limit_longer_side(image, size):
    """Resizes an image so that its longer side has at most `size` pixels; keeps the dtype."""
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer <= size:
        return image
    return resize_image(
        image, tuple(max(1, round(side * size / longer)) for side in (height, width))
    )


def resize_image(image, size):
    """Resizes an image to (height, width), bilinearly with antialiasing; keeps the dtype."""
    if image.dtype == "uint8" and image.shape[-1] == 3:
        resized = Image.fromarray(np.ascontiguousarray(image))
        return np.asarray(resized.resize(size[::-1], Image.Resampling.BILINEAR))
    resized = _resize_planes(image, size)
    return (resized if image.dtype.kind == "f" else np.rint(resized)).astype(image.dtype)


def _resize_planes(image, size):
    """Resizes each channel in float32."""
    planes = [
        Image.fromarray(np.ascontiguousarray(image[..., channel], "float32")).resize(
            size[::-1], Image.Resampling.BILINEAR
        )
        for channel in range(image.shape[-1])
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
