"""Finds and fills pixels without a measurement: NaN, infinity, or the value that a file names."""

import numpy as np


def read_nodata(tag):
    """The value of GDAL's TIFF tag for missing pixels; None if there is none, or no number."""
    try:
        return float(tag.value.strip("\0 "))
    except (AttributeError, ValueError):
        return None


def find_missing(image, nodata):
    """Finds missing pixels: `(H, W)` array of bool; None if there are none.

    A pixel is missing if one of its channels is not finite, or all have the value `nodata`.
    """
    missing = None
    if image.dtype.kind == "f":
        missing = ~np.isfinite(image).all(axis=-1)
    if nodata is not None and not np.isnan(nodata):
        is_nodata = (image == nodata).all(axis=-1)
        missing = is_nodata if missing is None else missing | is_nodata
    return missing if missing is not None and missing.any() else None


def fill_missing(image, nodata):
    """Replaces missing pixels by the median of the others, or by 0 if all are missing."""
    missing = find_missing(image, nodata)
    if missing is None:
        return image
    filled = np.array(image)
    known = image[~missing]
    filled[missing] = np.median(known, axis=0).astype(image.dtype) if len(known) else 0
    return filled
