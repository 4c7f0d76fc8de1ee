"""Perceptual hashes of images in eight orientations, and pairs of images with similar hashes."""

import numpy as np
from PIL import Image

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.exploration.registration import ORIENTATIONS, orient

HASH_SIDE = 16  # 256 bits; hashes of 64 bits are alike for many textures
HASHED_PIXELS = 64  # side of the square that `imagehash.phash` transforms
# Bits that may differ. Independent images differ in 128 bits, with a standard deviation of 8.
MAX_DIFFERENT_BITS = 90
BLOCK_VALUES = 2**23  # compared at a time


def hash_orientations(grey):
    """Hashes a grey image and its seven flips and quarter turns: bool `(8, 256)`.

    The hash is the signs of 256 low frequencies of the image, squeezed to a square. It hardly
    depends on brightness, contrast, size and compression.

    Args:
        grey: `(H, W)` array of any type and range.

    Raises:
        ImportError: if ImageHash is not installed.
    """
    with needs_extra("explore"):
        import imagehash

    size = (HASHED_PIXELS, HASHED_PIXELS)
    picture = Image.fromarray(np.ascontiguousarray(grey, "float32"))
    square = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    low, high = square.min(), square.max()
    square = ((square - low) * (255 / max(high - low, 1e-30))).round().astype("uint8")
    turned = (np.ascontiguousarray(orient(square, o)) for o in range(ORIENTATIONS))
    return np.stack([imagehash.phash(Image.fromarray(t), HASH_SIDE).hash.ravel() for t in turned])


def find_similar_hashes(hashes, k=10):
    """Finds pairs of images whose hashes are similar in any orientation.

    All pairs are compared, in blocks: fifty thousand images take some minutes on two cores.

    Args:
        hashes: bool `(N, 8, B)` array, see `hash_orientations`.
        k: int, number of the most similar images of each orientation that are considered for an
            image. Defaults to 10.

    Returns:
        `(P, 2)` int array of different pairs of rows, the smaller row first.
    """
    count, _, bits = hashes.shape
    least = bits - 2 * MAX_DIFFERENT_BITS
    bank = _to_signs(hashes[:, 0]).T.copy()
    rows = max(1, BLOCK_VALUES // count)
    found = [np.zeros((0, 2), int)]
    for start in range(0, count, rows):
        for orientation in range(ORIENTATIONS):
            block = _to_signs(hashes[start : start + rows, orientation])
            products = block @ bank[:, start:]
            products[np.tri(*products.shape) > 0] = -bits  # later rows only
            one, other = _largest_of_rows(products, least, k)
            found.append(np.stack([one, other], axis=1) + start)
    return np.unique(np.concatenate(found), axis=0)


def _largest_of_rows(values, least, k):
    """Places of the values of at least `least`, of each row the `k` largest and those equal."""
    is_large = values >= least
    many = np.flatnonzero(is_large.sum(axis=1) > k)
    if len(many):
        limit = np.partition(values[many], -k, axis=1)[:, -k]
        is_large[many] = values[many] >= limit[:, None]
    return np.nonzero(is_large)


def _to_signs(bits):
    return np.where(bits, np.float32(1), np.float32(-1))
