"""Warns of images and views whose values cannot be right; one rule for every way in.

Views made of pixels in [0, 1], where [0, 255] is wanted, hardly differ, and the loss of a run on
them is near 0 from the first step; of 16 bits a pixel they are hundreds of deviations wide.
"""

import numpy as np
from absl import logging

# A few images tell.
SAMPLE = 32
# Views that are normalised lie within 3 or so, those that the network normalises within 255.
_LARGEST = 300.0
_SMALLEST_SPREAD = 0.02


def warn_of_pixels(images):
    """Warns of images, to make views of, that do not look like pixels in [0, 255].

    Args:
        images: array `(B, H, W, C)` or `(H, W, C)`, or a list of such that differ in size.
    """
    if not len(images):
        return
    low, high = (float(f([f(image) for image in images[:SAMPLE]])) for f in (np.min, np.max))
    if high <= 1 or high > 255 or low < 0:
        logging.warning(
            "Images must have pixels in [0, 255] for views to be made of them. Received: first "
            "images with pixels in [%g, %g]",
            low,
            high,
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
