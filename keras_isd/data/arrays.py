"""Images that lie in memory, decoded."""

import numpy as np

from keras_isd.data.image_source import ImageSource
from keras_isd.image_range import warn_of_pixels


def from_arrays(images, labels=None, class_names=None):
    """Makes a source of images that lie in an array.

    Args:
        images: `(N, H, W, 3)` uint8; `(N, H, W, 1)` and `(N, H, W)` become three equal channels.
            They are copied when the first is read, and must stay as they are until then.
        labels: `(N,)` integers, -1 where unknown, or None.
        class_names: list of str, or None.

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
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.dtype != np.uint8:
        raise ValueError(
            "Argument `images` must be uint8 of shape (images, height, width, 3). "
            f"Received: images of shape {images.shape}, {images.dtype}"
        )
    if labels is not None and len(labels) != len(images):
        raise ValueError(
            "Arguments `images` and `labels` must be as many. "
            f"Received: {len(images)} images, {len(labels)} labels"
        )
    if images.shape[-1] == 1:
        images = np.repeat(images, 3, axis=-1)
    warn_of_pixels(images)
    return ImageSource(images, labels, len(images), class_names=class_names)
