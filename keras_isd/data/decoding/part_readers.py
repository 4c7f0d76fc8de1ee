"""Chooses the reader of a file's parts: of tiles, slices or frames without the rest."""

import os

from keras_isd.data.decoding.dicom import is_dicom, open_dicom
from keras_isd.data.decoding.formats import UnreadableImageError, is_tiff
from keras_isd.data.decoding.slides import RASTERS, SLIDES, RasterWindows, SlideWindows
from keras_isd.data.decoding.stacks import (
    HDF5_MAGIC,
    is_nifti,
    is_zarr,
    open_hdf5,
    open_nifti,
    open_zarr,
)
from keras_isd.data.decoding.windows import TiffWindows

PARTS_ONLY = (*SLIDES, *RASTERS, ".zarr")  # what `Decoder` cannot decode from its contents


def find_reader(path):
    """Finds the reader of a local file's parts.

    Args:
        path: str.

    Returns:
        A function from the path and `axes` to `TiffWindows` or an object with its interface; None
        for files that are decoded whole.
    """
    if os.path.isdir(path):
        return open_zarr if is_zarr(path) else None
    if not os.path.isfile(path):  # also if it is remote or a pipe; reading it gives the reason
        return None
    try:
        with open(path, "rb") as file:
            head = file.read(352)
    except OSError:
        return None
    ending = os.path.splitext(path)[1].lower()
    if ending in SLIDES:
        return SlideWindows
    if ending in RASTERS:
        return RasterWindows
    if is_tiff(head):
        return TiffWindows
    if is_dicom(head):
        return open_dicom
    if head[:8] == HDF5_MAGIC:
        return open_hdf5
    return open_nifti if is_nifti(head) else None


def is_parts_only(path):
    """Whether a file or folder, by the ending of its name, can be read in parts alone."""
    return path.lower().endswith(PARTS_ONLY)


def open_parts(path, axes=None, **of_dicom):
    """Opens a local file so that its parts can be read.

    Args:
        path: str.
        axes: str, the letters of the axes, such as TCYX, or None for those that the file names.
            Defaults to None.
        **of_dicom: `raw` and `is_series` for DICOM, see `open_dicom`.

    Returns:
        `TiffWindows`, or an object with its interface.

    Raises:
        UnreadableImageError: if its parts cannot be read by themselves.
    """
    reader = find_reader(path)
    if reader is None:
        raise UnreadableImageError("its parts cannot be read by themselves")
    return reader(path, axes, **of_dicom) if reader is open_dicom else reader(path, axes)
