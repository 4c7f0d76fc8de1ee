"""Measures the mean, the standard deviation and the value range of image channels."""

import concurrent.futures
import functools
from typing import Any, NamedTuple

import numpy as np

from keras_isd.augmentation import Augmenter, CentralCrop, NormalizeImage, Rescale
from keras_isd.augmentation.policies import DEGREES
from keras_isd.compat.progress_bar import progress_bar
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.validation.arguments import check_interval, check_positive_integer, check_seed
from keras_isd.validation.images import PIXEL_RANGE

SAMPLED_PIXELS = 512  # pixels of each image that percentiles are computed from
BLOCK_IMAGES = 64  # images that are read at a time


class ChannelStatistics(NamedTuple):
    """Channel statistics: argument `statistics` of `weak`, `strong` and `evaluation`.

    Attributes:
        mean, std: tuples of C floats, for values scaled to [0, 1].
        value_range: pair, the values that are scaled to 0 and 1: floats, or lists of C floats.
        normalize: `"none"`, `"image"` or `"background"`: how each image is normalised before, see
            `channel_statistics`. Defaults to `"none"`.

    Example:

    >>> of_twelve_bits = keras_isd.data.ChannelStatistics((0.2,), (0.1,), (0, 4095))
    >>> keras_isd.augmentation.evaluation(8, of_twelve_bits).value_range
    (0.0, 4095.0)
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    value_range: Any
    normalize: str = "none"


def channel_statistics(
    source,
    value_range=None,
    percentiles=(0.1, 99.9),
    per_channel=False,
    images=None,
    seed=0,
    verbose="auto",
    normalize="none",
):
    """Measures the statistics with which views of images are normalised.

    Photographs of 8 bits usually take `keras_isd.augmentation.IMAGENET` instead, which is the
    default of the augmentations; measure the statistics of all other images. Each image is read
    once, and the memory does not depend on its size. Unreadable images are omitted.

    Brightness, contrast and colour operations use the value range. Values outside of it are kept,
    except by colour jitter, which clips its result to the range.

    Args:
        source: `keras_isd.data.ImageSource`.
        value_range: pair of floats (low, high); None for (0, 255) if the images have 8 bits, and
            for `percentiles` of the values otherwise, so that a few odd pixels do not determine it.
            Defaults to None.
        percentiles: pair of floats in [0, 100]. Defaults to (0.1, 99.9).
        per_channel: bool, whether to compute percentiles for each channel separately, which is
            right if channels have different units. Defaults to False.
        images: int, number of images to read, drawn by `seed`; None for all. Defaults to None.
        seed: int. Defaults to 0.
        verbose: `"auto"`, 0 for no progress bar, 1, or 2 for one line at the end. Defaults to
            `"auto"`.
        normalize: `"image"` for views of images whose channels are centred and divided by their
            spread one by one, `"background"` if a smooth background is taken off as well (see
            `keras_isd.augmentation.NormalizeImage`), or `"none"`. The statistics are those of the
            normalised images. Defaults to `"none"`.

    Returns:
        `ChannelStatistics`, for `weak(size, statistics)`, `strong` and `evaluation`.

    Raises:
        ValueError: if an argument is out of range, no image can be read, or a channel is constant.

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
            "Argument `source` must be a `keras_isd.data.ImageSource`, such as `from_folder` and "
            f"`from_arrays` make. Received: {type(source).__name__}"
        )
    check_seed("seed", seed)
    check_interval("percentiles", percentiles, 0, 100)
    if normalize not in DEGREES:
        raise ValueError(
            f"Argument `normalize` must be one of {sorted(DEGREES)}. Received: {normalize=}"
        )
    rows = np.arange(len(source))
    if images is not None:
        check_positive_integer("images", images)
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:images])
    if value_range is None and source.dtype == "uint8" and normalize == "none":
        value_range = PIXEL_RANGE
    if value_range is not None:
        Rescale(*value_range)  # raises if the range is invalid
    read = _reader(source, normalize)
    mean, std, is_constant, pixels = _measure_pixels(read, rows, seed, verbose)
    if not np.isfinite(std).all():
        raise ValueError(
            "Argument `source` must have finite pixels. "
            f"Received: NaN or infinity in channel {np.flatnonzero(~np.isfinite(std))[0]}"
        )
    if (constant := np.flatnonzero(is_constant)).size:
        raise ValueError(
            "Argument `source` must have no constant channel, because it cannot be normalised. "
            f"Received: channel {constant[0]} of {source.channels}, constant "
            f"{mean[constant[0]]:g}"
        )
    if value_range is None:
        axis = 0 if per_channel else None
        low, high = np.percentile(pixels, percentiles, axis=axis)
        high = np.where(high > low, high, low + 1)  # equal if nearly all pixels have one value
        value_range = (low.tolist(), high.tolist())
    low, high = (np.asarray(limit, "float64") for limit in value_range)
    mean, std = (mean - low) / (high - low), std / (high - low)
    return ChannelStatistics(
        tuple(mean.tolist()), tuple(std.tolist()), tuple(value_range), normalize
    )


def _reader(source, normalize):
    """Function from a row to its image, normalised, and the row that was read."""
    if DEGREES[normalize] is None:
        return source.read_one
    view = Augmenter([NormalizeImage(DEGREES[normalize]), CentralCrop(1)])

    def read(row):
        image, read_row = source.read_one(row)
        return view.before_crop(image), read_row

    return read


def _measure_pixels(read_one, rows, seed, verbose):
    """Means, standard deviations and constancy of channels `(C,)`, and sampled pixels `(n, C)`."""
    progress = progress_bar(len(rows), verbose)
    found: list[_Moments] = []
    samples = []

    def read(row):
        image, read_row = read_one(row)
        if read_row != row:  # the file is unreadable, and this is another image
            return None
        pixels = image.reshape(-1, image.shape[-1])
        sampled = np.random.default_rng([seed, row]).integers(0, len(pixels), SAMPLED_PIXELS)
        moments = _Moments(
            len(pixels),
            pixels.mean(axis=0, dtype="float64"),
            pixels.var(axis=0, dtype="float64") * len(pixels),
            pixels.min(axis=0),
            pixels.max(axis=0),
        )
        return moments, pixels[sampled]

    with concurrent.futures.ThreadPoolExecutor() as readers:
        for start in range(0, len(rows), BLOCK_IMAGES):
            for measured in readers.map(read, rows[start : start + BLOCK_IMAGES].tolist()):
                if measured is not None:
                    found = [functools.reduce(_join_moments, [*found, measured[0]])]
                    samples.append(measured[1])
            progress.update(min(start + BLOCK_IMAGES, len(rows)))
    if not samples:
        raise ValueError(
            "Argument `source` must have a readable image. "
            f"Received: {len(rows)} images, none of them readable"
        )
    [all_pixels] = found
    std = np.sqrt(all_pixels.squares / all_pixels.pixels)
    return all_pixels.mean, std, all_pixels.low == all_pixels.high, np.concatenate(samples)


class _Moments(NamedTuple):
    pixels: int
    mean: np.ndarray
    squares: np.ndarray  # sums of squared deviations from the mean
    low: np.ndarray
    high: np.ndarray


def _join_moments(one, other):
    """The moments of all pixels of two sets of pixels.

    A difference of sums of squares would lose small deviations from a large mean.

    Source: Chan, Golub and LeVeque, Updating formulae for computing sample variances, 1979.
    """
    count, apart = one.pixels + other.pixels, other.mean - one.mean
    return _Moments(
        count,
        one.mean + apart * (other.pixels / count),
        one.squares + other.squares + apart**2 * (one.pixels * other.pixels / count),
        np.minimum(one.low, other.low),
        np.maximum(one.high, other.high),
    )
