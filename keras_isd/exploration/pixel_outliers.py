"""Outlier images by their pixels alone: a baseline without a network."""

import numpy as np

from keras_isd.data.decoding.resizing import resize_image
from keras_isd.validation.arguments import check_positive_integer

FITTED_IMAGES = 10_000  # at most, evenly spread over the source


def pixel_outlier_scores(source, components=20, size=32):
    """Scores each image by what the principal components of all images leave of its pixels.

    It is a baseline for images that are alike and aligned: a score that does not find more than
    this one is not worth its time.

    Args:
        source: `keras_isd.data.ImageSource`.
        components: int, number of principal components; at most the number of images minus one.
            Defaults to 20.
        size: int, side in pixels to which images are resized. Defaults to 32.

    Returns:
        `(N,)` float32 array, the length of the residual; NaN for an image that could not be read.

    Raises:
        ValueError: if `components` or `size` is not a positive integer.

    Example:

    >>> images = np.repeat(np.arange(0, 200, 10, "uint8"), 3 * 64 * 64).reshape(20, 64, 64, 3)
    >>> images[4, :16] = 255
    >>> scores = keras_isd.exploration.pixel_outlier_scores(
    ...     keras_isd.data.from_arrays(images), components=1)
    >>> int(scores.argmax())
    4
    """
    check_positive_integer("components", components)
    check_positive_integer("size", size)
    fitted = np.unique(np.linspace(0, len(source) - 1, FITTED_IMAGES).astype(int))
    known = {int(row): _read_pixels(source, int(row), size) for row in fitted}
    points = np.stack([pixels for pixels in known.values() if pixels is not None])
    mean = points.mean(axis=0)
    count = min(components, max(1, len(points) - 1))
    axes = np.linalg.svd(points - mean, full_matrices=False)[2][:count]
    scores = np.full(len(source), np.nan, "float32")
    for row in range(len(source)):
        pixels = known[row] if row in known else _read_pixels(source, row, size)
        if pixels is not None:
            centered = pixels - mean
            scores[row] = np.linalg.norm(centered - (centered @ axes.T) @ axes)
    return scores


def _read_pixels(source, row, size):
    """Reads the pixels of an image, resized, as a float32 vector; None if it cannot be read."""
    image, read = source.read_one(row)
    return resize_image(image, (size, size)).ravel().astype("float32") if read == row else None
