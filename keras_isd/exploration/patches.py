"""Descriptors of the patches of an image, at its own resolution."""

import numpy as np

CELL = 4  # pixels
SIDE = 5  # cells of a patch: 20 pixels


def describe_patches(image):
    """Describes each patch of 20 x 20 pixels of an image, at steps of 4 pixels.

    The image is divided into cells of 4 x 4 pixels. The descriptor of a patch of 5 x 5 cells has
    the mean of each channel and the standard deviation of the brightness within each cell, and the
    standard deviation of the cells' means over the patch. Standard deviations are the energy of a
    texture, without which a patch that lacks it would be an average patch. An image with fewer than
    20 pixels in height or width is extended by its border.

    Args:
        image: `(H, W, C)` array.

    Returns:
        `(rows, columns, F)` float32 array. The patch of row i and column j has its centre at the
        pixels `4 * i + 10` and `4 * j + 10`.

    Source: Laws, "Rapid texture identification", SPIE 1980, for the energy.

    Example:

    >>> image = np.zeros((40, 60, 3), "uint8")
    >>> keras_isd.exploration.patches.describe_patches(image).shape
    (6, 11, 103)
    """
    missing = [(0, max(0, CELL * SIDE - size)) for size in image.shape[:2]]
    image = np.pad(image, [*missing, (0, 0)], mode="edge")
    height, width = (size // CELL for size in image.shape[:2])
    pixels = image[: height * CELL, : width * CELL].astype("float32")
    pixels = pixels.reshape(height, CELL, width, CELL, -1)
    means = pixels.mean(axis=(1, 3))
    energy = pixels.mean(axis=4).std(axis=(1, 3))
    cells = np.concatenate([means, energy[..., None]], axis=2)
    patches = np.lib.stride_tricks.sliding_window_view(cells, (SIDE, SIDE), (0, 1))
    contrast = patches[:, :, :-1].std(axis=(3, 4))
    return np.concatenate([patches.reshape(*patches.shape[:2], -1), contrast], axis=2)
