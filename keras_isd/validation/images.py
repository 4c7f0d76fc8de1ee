"""Warns of implausible pixel ranges, by the same rule at every entry point.

If pixels in [0, 1] are given instead of [0, 255], all views are nearly equal and the loss is near 0
from the first step. Views of 16-bit pixels span hundreds of standard deviations.
"""

import numpy as np
from absl import logging

SAMPLED_IMAGES = 32  # a few images suffice
PIXEL_RANGE = (0.0, 255.0)  # of 8-bit images, and the range that most operations expect
ANY_RANGE = (float("-inf"), float("inf"))  # of images that are normalised one by one
# Normalised views lie within about 3; views that the network itself normalises lie within 255.
_MAX_VALUE = 300.0
_MIN_DEVIATION = 0.02


def warn_of_pixels(images, value_range=PIXEL_RANGE):
    """Warns if the values of images do not fit the range for which their views are made.

    Args:
        images: array `(B, H, W, C)` or `(H, W, C)`, or a list of arrays `(H, W, C)` that may differ
            in size.
        value_range: pair (low, high) of numbers, or of lists with one number for each channel: the
            range for which the views are made. Defaults to (0, 255).
    """
    if not len(images) or value_range == ANY_RANGE:
        return
    low, high = (np.asarray(limit, "float64") for limit in value_range)
    images = images[:SAMPLED_IMAGES]
    scaled = [(np.asarray(image, "float64") - low) / (high - low) for image in images]
    least, most = (float(f([f(image) for image in scaled])) for f in (np.min, np.max))
    # A measured range may leave out a few values. If the values fill little of the range, as 12-bit
    # values do in 16 bits, brightness and colour operations change too much.
    smallest, slack = (1 / 255, 0.0) if value_range == PIXEL_RANGE else (0.02, 1.0)
    if most <= smallest or most > 1 + slack or least < -slack:
        values = [f([f(image) for image in images]) for f in (np.min, np.max)]
        logging.warning(
            "Images must have pixels in [%g, %g]; for another range, make the views with the "
            "statistics that `keras_isd.data.channel_statistics` measures. Received: first images "
            "with pixels in [%g, %g]",
            low.min(),
            high.max(),
            *values,
        )


def warn_of_views(views):
    """Warns if the range or the deviation of a backbone's input is implausible.

    Args:
        views: array `(B, H, W, C)` of numbers.
    """
    views = np.asarray(views[:SAMPLED_IMAGES], "float64")
    views = views[np.isfinite(views).all(axis=tuple(range(1, views.ndim)))]
    if not views.size:
        return  # values that are not finite show in the loss
    largest = np.abs(views).max()
    deviation = views.std(axis=tuple(range(views.ndim - 1))).mean()
    if largest > _MAX_VALUE or deviation < _MIN_DEVIATION:
        logging.warning(
            "Views must be normalised, mostly within 3, with a standard deviation of about 1; "
            "`keras_isd.augmentation` makes such views from pixels in [0, 255]. Received: a first "
            "batch within %.3g, with a mean standard deviation of %.3g per channel; plot some with "
            "`keras_isd.visualization.plot_views`",
            largest,
            deviation,
        )
