"""Images that lie in memory, decoded."""

import numpy as np

from keras_isd.data.decoding import DTYPES
from keras_isd.data.image_source import ImageSource
from keras_isd.image_range import warn_of_pixels


def from_arrays(images, labels=None, class_names=None, channels=None):
    """Makes a source of images that lie in an array.

    Args:
        images: `(N, H, W, C)` or `(N, H, W)` of uint8, uint16, int16, uint32, int32 or float32. One
            channel becomes three equal ones, unless `channels` is 1. They are copied when the first
            is read in a pipeline, and must stay as they are until then.
        labels: `(N,)` integers, -1 where unknown, or None.
        class_names: list of str, or None.
        channels: 1 for images of one channel that stay so, or None.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: if shapes, dtype or labels are not as above.

    Example:

    >>> len(keras_isd.data.from_arrays(np.zeros((6, 8, 8), "uint8")))
    6
    """
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype == "float64":
        images = images.astype("float32")
    if images.ndim != 4 or str(images.dtype) not in DTYPES:
        raise ValueError(
            "Argument `images` must be of shape (images, height, width, channels) and "
            f"{', '.join(DTYPES)}. Received: images of shape {images.shape}, {images.dtype}"
        )
    if channels not in (None, images.shape[-1]):
        raise ValueError(
            f"Argument `channels` must be what images have. Received: {channels=}, images of "
            f"shape {images.shape}"
        )
    if labels is not None and len(labels) != len(images):
        raise ValueError(
            "Arguments `images` and `labels` must be as many. "
            f"Received: {len(images)} images, {len(labels)} labels"
        )
    if images.shape[-1] == 1 and channels is None:
        images = np.repeat(images, 3, axis=-1)
    if images.dtype == "uint8":  # of others the views say what range is right
        warn_of_pixels(images)
    return ImageSource(images, labels, len(images), class_names=class_names)
