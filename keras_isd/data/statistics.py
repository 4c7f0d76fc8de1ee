"""Means and deviations of the channels of images, and the range of their values."""

import concurrent.futures
from typing import Any, NamedTuple

import numpy as np

from keras_isd.augmentation import Rescale
from keras_isd.compat.progress_bar import progress_bar
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.validation.arguments import check_interval, check_positive_integer, check_seed
from keras_isd.validation.images import PIXEL_RANGE

PIXELS_OF_AN_IMAGE = 512  # that percentiles are taken of
BLOCK = 64  # images that are read at a time


class ChannelStatistics(NamedTuple):
    """What `weak`, `strong` and `evaluation` take as `statistics`.

    Attributes:
        mean, std: tuples of C floats, for values in [0, 1].
        value_range: pair, the values that 0 and 1 stand for: floats, or lists of C.

    Example:

    >>> of_twelve_bits = keras_isd.data.ChannelStatistics((0.2,), (0.1,), (0, 4095))
    >>> keras_isd.augmentation.evaluation(8, of_twelve_bits).value_range
    (0.0, 4095.0)
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    value_range: Any


def channel_statistics(
    source,
    value_range=None,
    percentiles=(0.1, 99.9),
    per_channel=False,
    images=None,
    seed=0,
    verbose="auto",
):
    """Measures the statistics that views of images are normalised with.

    For all images but photographs of 8 bits, whose `keras_isd.augmentation.IMAGENET` is the usual
    default. Each image is read once, and what is kept of it does not depend on its size. Those that
    cannot be read are left out.

    The range of values is what brightness, contrast and colours reckon with; nothing is cut off
    outside of it but by colour jitter, whose result stays within.

    Args:
        source: `keras_isd.data.ImageSource`.
        value_range: pair of floats (low, high). By default (0, 255) of images of 8 bits; of others
            `percentiles` of their values, so that a few odd pixels do not set it.
        percentiles: pair of floats in [0, 100].
        per_channel: bool, whether each channel has percentiles of its own, as it should where they
            are of different units.
        images: int, how many images to read, drawn by `seed`; all by default.
        seed: int.
        verbose: `"auto"`, 0 for no progress bar, 1, or 2 for one line at the end.

    Returns:
        `ChannelStatistics`, for `weak(size, statistics)` and the like.

    Raises:
        ValueError: if an argument is out of its range, no image can be read, or a channel has the
            same value everywhere.

    Example:

    >>> images = np.random.default_rng(0).integers(0, 4096, (8, 16, 16, 5)).astype("uint16")
    >>> source = keras_isd.data.from_arrays(images)
    >>> statistics = keras_isd.data.channel_statistics(source, (0, 4095), verbose=0)
    >>> np.round(statistics.mean, 1).tolist()
    [0.5, 0.5, 0.5, 0.5, 0.5]
    >>> tuple(keras_isd.augmentation.weak(8, statistics)(images).shape)
    (8, 8, 8, 5)
    """
    if not isinstance(source, ImageSource):
        raise ValueError(
            "Argument `source` must be a `keras_isd.data.ImageSource`, as `from_folder` and "
            f"`from_arrays` give. Received: {type(source).__name__}"
        )
    check_seed("seed", seed)
    check_interval("percentiles", percentiles, 0, 100)
    rows = np.arange(len(source))
    if images is not None:
        check_positive_integer("images", images)
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:images])
    if value_range is None and source.dtype == "uint8":
        value_range = PIXEL_RANGE
    if value_range is not None:
        Rescale(*value_range)  # raises where it is none
    count, total, squares, sampled = _sums(source, rows, seed, verbose)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    if (constant := np.flatnonzero(std <= 1e-6 * np.maximum(np.abs(mean), 1e-6))).size:
        raise ValueError(
            "Channels must differ from place to place, to be normalised. Received: channel "
            f"{constant[0]} of {source.channels}, everywhere {mean[constant[0]]:g}"
        )
    if value_range is None:
        axis = 0 if per_channel else None
        low, high = np.percentile(sampled, percentiles, axis=axis)
        high = np.where(high > low, high, low + 1)  # all but a few of one value
        value_range = (low.tolist(), high.tolist())
    low, high = (np.asarray(limit, "float64") for limit in value_range)
    mean, std = (mean - low) / (high - low), std / (high - low)
    return ChannelStatistics(tuple(mean.tolist()), tuple(std.tolist()), tuple(value_range))


def _sums(source, rows, seed, verbose):
    """Number of pixels, sums `(C,)` of values and of their squares, and some pixels `(n, C)`."""
    progress = progress_bar(len(rows), verbose)
    count, total, squares, sampled = 0, 0.0, 0.0, []

    def read(row):
        image, of = source.read_one(row)
        if of != row:  # which is another's
            return None
        pixels = image.reshape(-1, image.shape[-1])
        some = np.random.default_rng([seed, row]).integers(0, len(pixels), PIXELS_OF_AN_IMAGE)
        sums = (pixels.astype("float64") ** power for power in (1, 2))
        return len(pixels), *(values.sum(axis=0) for values in sums), pixels[some]

    with concurrent.futures.ThreadPoolExecutor() as readers:
        for start in range(0, len(rows), BLOCK):
            for found in readers.map(read, rows[start : start + BLOCK].tolist()):
                if found is not None:
                    count, total, squares = (
                        old + new for old, new in zip((count, total, squares), found)
                    )
                    sampled.append(found[3])
            progress.update(min(start + BLOCK, len(rows)))
    if not sampled:
        raise ValueError("Argument `source` must have an image that can be read. Received: none")
    return count, total, squares, np.concatenate(sampled)
