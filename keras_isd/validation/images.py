"""Warns of images and views whose values cannot be right; one rule for every way in.

Views made of pixels in [0, 1], where [0, 255] is wanted, hardly differ, and the loss of a run on
them is near 0 from the first step; of 16 bits a pixel they are hundreds of deviations wide.
"""

import numpy as np
from absl import logging

# A few images tell.
SAMPLE = 32
PIXELS = (0.0, 255.0)  # of 8 bits, and what most operations reckon with
# Views that are normalised lie within 3 or so, those that the network normalises within 255.
_LARGEST = 300.0
_SMALLEST_SPREAD = 0.02


def warn_of_pixels(images, value_range=PIXELS):
    """Warns of images, to make views of, whose values do not look like those of a range.

    Args:
        images: array `(B, H, W, C)` or `(H, W, C)`, or a list of such that differ in size.
        value_range: pair (low, high) of numbers, or of lists of one for each channel: what the
            views are made for.
    """
    if not len(images):
        return
    low, high = (np.asarray(limit, "float64") for limit in value_range)
    scaled = [(np.asarray(image, "float64") - low) / (high - low) for image in images[:SAMPLE]]
    least, most = (float(f([f(image) for image in scaled])) for f in (np.min, np.max))
    # A range that was measured may leave out a few values; of one that they hardly fill, as 12 bits
    # do of 16, brightness and colours are not what they seem.
    smallest, slack = (1 / 255, 0.0) if value_range == PIXELS else (0.02, 1.0)
    if most <= smallest or most > 1 + slack or least < -slack:
        values = [f([f(image) for image in images[:SAMPLE]]) for f in (np.min, np.max)]
        logging.warning(
            "Images must have pixels in [%g, %g] for views to be made of them; for others give "
            "their own range, as `keras_isd.data.channel_statistics` measures it. Received: first "
            "images with pixels in [%g, %g]",
            low.min(),
            high.max(),
            *values,
        )


def warn_of_views(views):
    """Warns of views, as a backbone sees them, of a range or a spread that cannot be right.

    Args:
        views: array `(B, H, W, C)` of numbers.
    """
    views = np.asarray(views[:SAMPLE], "float64")
    views = views[np.isfinite(views).all(axis=tuple(range(1, views.ndim)))]
    if not views.size:
        return  # what is not finite, the loss tells
    largest = np.abs(views).max()
    spread = views.std(axis=tuple(range(views.ndim - 1))).mean()
    if largest > _LARGEST or spread < _SMALLEST_SPREAD:
        logging.warning(
            "Views are normalised numbers, mostly within 3, with a standard deviation of about 1: "
            "`keras_isd.augmentation` makes them of pixels in [0, 255]. Received: a first batch "
            "within %.3g, with a standard deviation of %.3g in a channel; look at some with "
            "`keras_isd.visualization.plot_views`",
            largest,
            spread,
        )
