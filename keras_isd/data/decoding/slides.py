"""Reads parts of the formats of slide scanners (OpenSlide) and of satellites (GDAL)."""

import threading
import warnings

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.decoding.stacks import MIN_BYTES

# Formats of slides other than TIFF's, which tifffile reads.
SLIDES = (".bif", ".mrxs", ".ndpi", ".scn", ".vms", ".vmu")
# Formats of GDAL that are one file, and whose bands are images; those of text files that name
# others, such as .vrt, are left out, since they could read any file.
RASTERS = (".img", ".nitf", ".ntf")


class SlideWindows:
    """Reads parts of a slide with OpenSlide, as RGB; it has the interface of `TiffWindows`.

    Transparent pixels, which the scanner left out, are white.

    Args:
        path: str, a local file.
        axes: must be None or YXS.

    Raises:
        UnreadableImageError: if OpenSlide cannot open the file.
    """

    nodata, is_georeferenced = None, False
    lengths: dict[str, int] = {}
    channels = samples = 3
    dtype, num_bytes = np.dtype("uint8"), 2 * MIN_BYTES  # with OpenSlide's own cache of tiles

    def __init__(self, path, axes=None):
        with needs_extra("slides"):
            import openslide
        _check_axes(axes, ("YXS",))
        try:
            self._slide = openslide.OpenSlide(path)
        except openslide.OpenSlideError as error:
            raise UnreadableImageError(str(error)) from None
        self.sizes = [(height, width) for width, height in self._slide.level_dimensions]

    def segment_width(self, level):
        """See `TiffWindows.segment_width`; chunks are small."""
        return 1

    def read(self, level, top, left, height, width, fixed=None):
        """Reads a part of a level: `(height, width, 3)` array; see `TiffWindows.read`."""
        import openslide
        from PIL import Image

        scale = self._slide.level_downsamples[level]
        place = round(left * scale), round(top * scale)  # at full resolution
        try:
            part = self._slide.read_region(place, level, (width, height))
        except openslide.OpenSlideError as error:
            raise UnreadableImageError(str(error)) from None
        white = Image.new("RGBA", part.size, "white")
        return np.asarray(Image.alpha_composite(white, part).convert("RGB"))


class RasterWindows:
    """Reads parts of a raster with GDAL; it has the interface of `TiffWindows`.

    Args:
        path: str, a local file.
        axes: must be None or SYX.

    Raises:
        UnreadableImageError: if GDAL cannot open the file.
    """

    is_georeferenced, samples, num_bytes = True, 1, MIN_BYTES
    lengths: dict[str, int] = {}

    def __init__(self, path, axes=None):
        with needs_extra("maps"):
            import rasterio
        _check_axes(axes, ("SYX",))
        self._lock = threading.Lock()  # GDAL's data sets are not for several threads
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
                first = rasterio.open(path)
                reductions = range(len(first.overviews(1)))
                others = [rasterio.open(path, overview_level=number) for number in reductions]
        except rasterio.errors.RasterioError as error:
            raise UnreadableImageError(str(error).split("\n")[0]) from None
        self._levels = [first, *others]
        self.sizes = [(level.height, level.width) for level in self._levels]
        self.channels = first.count
        self.dtype = np.dtype(first.dtypes[0])
        self.nodata = first.nodata

    def segment_width(self, level):
        """See `TiffWindows.segment_width`; chunks are small."""
        return 1

    def read(self, level, top, left, height, width, fixed=None):
        """Reads a part of a level: `(height, width, C)` array; see `TiffWindows.read`."""
        from rasterio import errors, windows

        try:
            with self._lock:
                part = self._levels[level].read(window=windows.Window(left, top, width, height))
        except errors.RasterioError as error:
            raise UnreadableImageError(str(error).split("\n")[0]) from None
        return np.moveaxis(part, 0, 2)


def _check_axes(axes, known):
    if axes not in (None, *known):
        raise UnreadableImageError(f"it has the axes {known[0]}, expected {axes}")
