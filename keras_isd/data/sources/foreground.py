"""Foreground and background of large images, by texture.

Glass, empty medium and missing data have little texture, whatever their colour and whether they are
bright or dark. An image is divided into blocks of an eighth of a tile, and each block into 4 x 4
cells. The texture of a block is the standard deviation of its cells' means, since noise of single
pixels is no texture; by channel, relative to the median block, and averaged over the channels.
Thin lines of strong texture, such as the border of a tissue, are removed by a grey opening of 3 x 3
blocks. Blocks without any texture are background. If the logarithm of the others' texture has two
clearly separate modes, the blocks under Otsu's threshold are background, too; otherwise, as in most
scenes of satellites, all of them are foreground.

Source: Otsu, "A threshold selection method from gray-level histograms", 1979.
"""

import hashlib
import math
import os
import pathlib
import warnings

import numpy as np

from keras_isd.data.decoding.windows import reduce_image
from keras_isd.files import atomic_path

BLOCKS, CELLS = 8, 4  # blocks along the side of a tile, cells along that of a block
# In a gigapixel image blocks are a quarter of a tile, for which a coarser level is enough.
LARGE_BLOCKS, LARGE_PIXELS = 4, 2**30
MAX_CELLS = 2**22  # at a time
BINS = 128  # of Otsu's histogram
# Share of the variance between the modes: 0.64 for a normal distribution, 0.75 for a uniform one.
SEPARATE = 0.85


def foreground_shares(large, row, boxes, cache=None):
    """Computes the share of foreground of each tile.

    Args:
        large: `LargeImages`.
        row: int, the image.
        boxes: `(n, 6)` integers, boxes of the image's tiles.
        cache: path of a folder for results, or None. Defaults to None.

    Returns:
        `(n,)` array of floats in [0, 1].
    """
    image, size, level = large.open(row), int(boxes[0, 3]), int(boxes[0, 5])
    name, file = large.name(row), None
    if cache is not None and os.path.isfile(name):
        file = _cache_file(name, image, size, level, cache)
    if file is not None and file.is_file():
        is_foreground = np.load(file, allow_pickle=False)
    else:
        is_foreground = find_foreground(image, size, level)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(file) as unfinished, open(unfinished, "wb") as opened:
                np.save(opened, is_foreground)
    return _mean_in_boxes(is_foreground, image.sizes[level], boxes)


def find_foreground(image, size, level=0):
    """Finds the foreground of a large image: array of bool, one for each block.

    Args:
        image: `TiffWindows` or `DecodedImage`.
        size: int, side of a tile in pixels of the level.
        level: int. Defaults to 0.
    """
    texture, share = measure_texture(image, size, level)
    texture = _open(texture)
    is_known = (share > 0.5) & (texture > 0)
    if not is_known.any():
        return is_known
    values = np.log(texture[is_known])
    threshold, separation = otsu_threshold(values)
    if separation >= SEPARATE:
        is_known[is_known] = values > threshold
    return is_known


def _open(texture):
    """Grey opening: the largest of the smallest values of all 3 x 3 blocks that hold a block."""
    for reduce in (np.min, np.max):
        padded = np.pad(texture, 1, mode="edge")
        texture = reduce(np.lib.stride_tricks.sliding_window_view(padded, (3, 3)), axis=(2, 3))
    return texture


def otsu_threshold(values):
    """Finds the threshold that best divides values into two modes.

    Returns:
        Pair of the threshold and the share of the variance that is between the modes, in [0, 1].
    """
    counts, edges = np.histogram(values, BINS)
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * centers)
    above = below[-1] - below
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = sums / below - (sums[-1] - sums) / above
    between = np.nan_to_num(below * above * distance**2)[:-1] / below[-1] ** 2
    variance = values.var()
    best = int(np.argmax(between)) if len(between) else 0
    return edges[best + 1], float(between[best] / variance) if variance else 0.0


def measure_texture(image, size, level=0):
    """Measures the texture of each block, and the share of its pixels that are not missing."""
    blocks = LARGE_BLOCKS if math.prod(image.sizes[level]) > LARGE_PIXELS else BLOCKS
    down, across = (max(1, round(blocks * length / size)) for length in image.sizes[level])
    # The cells of a gigapixel image would take gigabytes.
    step = max(1, MAX_CELLS // (across * CELLS**2))
    parts = [
        _measure_rows(image, down, across, level, range(row, min(row + step, down)))
        for row in range(0, down, step)
    ]
    deviation, share = (np.concatenate(arrays) for arrays in zip(*parts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of channels without any texture
        scale = np.nanmedian(np.where(deviation > 0, deviation, np.nan), axis=(0, 1))
    return (deviation / np.where(scale > 0, scale, np.inf)).mean(axis=-1), share


def _measure_rows(image, down, across, level, rows):
    """The deviation `(rows, across, C)` in some rows of blocks, and the share of known pixels."""
    wanted = range(rows.start * CELLS, rows.stop * CELLS)
    cells, known = reduce_image(image, down * CELLS, across * CELLS, level, wanted)
    blocks = cells.reshape(len(rows), CELLS, across, CELLS, -1)
    share = known.reshape(len(rows), CELLS, across, CELLS).mean(axis=(1, 3))
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of blocks without a known pixel
        deviation = np.nan_to_num(np.nanstd(blocks, axis=(1, 3)))
    return deviation.astype("float32"), share


def _mean_in_boxes(is_foreground, size, boxes):
    """The share of foreground in each box: blocks count by the area that they share with it."""
    down, across = is_foreground.shape
    table = np.zeros((down + 1, across + 1))
    table[1:, 1:] = is_foreground.cumsum(axis=0).cumsum(axis=1)
    top, left = boxes[:, 2] * down / size[0], boxes[:, 1] * across / size[1]
    bottom = (boxes[:, 2] + boxes[:, 4]) * down / size[0]
    right = (boxes[:, 1] + boxes[:, 3]) * across / size[1]
    area = (bottom - top) * (right - left)
    corners = ((bottom, right, 1), (top, right, -1), (bottom, left, -1), (top, left, 1))
    return sum(sign * _interpolate(table, y, x) for y, x, sign in corners) / area


def _interpolate(table, y, x):
    """The values of a table between its entries."""
    y, x = np.clip(y, 0, table.shape[0] - 1), np.clip(x, 0, table.shape[1] - 1)
    top, left = (
        np.minimum(y.astype(int), table.shape[0] - 2),
        np.minimum(x.astype(int), table.shape[1] - 2),
    )
    dy, dx = y - top, x - left
    upper = table[top, left] * (1 - dx) + table[top, left + 1] * dx
    lower = table[top + 1, left] * (1 - dx) + table[top + 1, left + 1] * dx
    return upper * (1 - dy) + lower * dy


def _cache_file(name, image, size, level, folder):
    """The file with the foreground of an image file, by its name, change and settings."""
    status = os.stat(name)
    facts = [name, status.st_size, status.st_mtime_ns, image.sizes]
    facts += [size, level, BLOCKS, CELLS, SEPARATE]
    digest = hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()
    return pathlib.Path(folder) / f"{digest[:32]}.npy"
