"""Reads parts of large images, at best without decoding the rest."""

import math
import os
import threading

import numpy as np

from keras_isd.data.decoding.decoder import CONVERSIONS
from keras_isd.data.decoding.formats import (
    OTHER_COLORS,
    UnreadableImageError,
    suppress_logs,
)

STRIP_PIXELS = 2**22  # read at once to reduce an image
MIN_BYTES = 2**24  # that an open file counts, so that a gibibyte holds at most 64 of them
MAX_SEGMENT_BYTES = 2**26  # of a compressed tile or strip; with larger ones all is decoded once


class DecodedImage:
    """An image in memory, with the interface of `TiffWindows`.

    Args:
        image: `(H, W, C)` array.
    """

    nodata, is_georeferenced = None, False

    def __init__(self, image):
        self.image = image
        self.sizes = [image.shape[:2]]
        self.num_bytes = image.nbytes

    def read(self, level, top, left, height, width):
        """Reads a part: `(height, width, C)` array."""
        return self.image[top : top + height, left : left + width]


class TiffWindows:
    """Reads parts of a TIFF image, at any level of its pyramid.

    Only the tiles or strips under a part are read and decoded; an uncompressed image is mapped into
    memory. BigTIFF, OME-TIFF, GeoTIFF and SVS are TIFF. Several threads may read at once.

    Args:
        path: str, a local file.

    Attributes:
        sizes: list of pairs (height, width), one for each level, the largest first.
        channels: int, C.
        lengths: dict from the axes other than Y, X and samples, such as T, Z or C, to lengths.
        samples: int, channels within a page, such as those of RGB.
        dtype: `np.dtype`.
        nodata: number that marks missing pixels (GDAL's tag), or None.
        is_georeferenced: bool, whether the file has coordinates of a map.
        num_bytes: int, about the memory that the open file takes.

    Raises:
        UnreadableImageError: if the file is damaged, or its parts cannot be read by themselves.
    """

    def __init__(self, path):
        import tifffile

        self.path = path
        self._lock = threading.Lock()
        try:
            self._file = open(path, "rb")  # noqa: SIM115 - closed with this object
            with suppress_logs("tifffile"):
                tiff = tifffile.TiffFile(self._file)
                series = tiff.series[0]
                self._levels = [_list_pages(level) for level in series.levels]
                _check_codec(self._levels[0][0])
        except UnreadableImageError:
            raise
        # tifffile raises errors of every kind for damaged files.
        except Exception as error:
            raise UnreadableImageError(str(error).split("\n")[0]) from error
        self._bytes = None
        first = self._levels[0][0].keyframe
        self.sizes = [(pages[0].imagelength, pages[0].imagewidth) for pages in self._levels]
        self.samples = first.samplesperpixel
        self.channels = len(self._levels[0]) * self.samples
        others = len(series.shape) - len(first.axes)
        self.lengths = dict(zip(series.axes[:others], series.shape[:others]))
        self.dtype = first.dtype
        self.is_georeferenced = first.is_geotiff
        self.nodata = _read_nodata(first.tags.get("GDAL_NODATA"))
        segments = sum(len(pages) * math.prod(pages[0].chunked) for pages in self._levels)
        # Places and lengths are Python integers. The minimum limits the number of open files.
        self.num_bytes = MIN_BYTES + 80 * segments

    def read(self, level, top, left, height, width, fixed=None):
        """Reads a part of a level: `(height, width, C)` array.

        Missing tiles are 0, or the value that marks missing pixels. `fixed` has places along some
        axes, whose pages alone are read; the others are channels.
        """
        pages = self._levels[level]
        if fixed:
            index = tuple(fixed.get(axis, slice(None)) for axis in self.lengths)
            numbers = np.arange(len(pages)).reshape([*self.lengths.values()])[index]
            pages = [pages[number] for number in np.ravel(numbers)]
        parts = [self._read_page(page, top, left, height, width) for page in pages]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    def _read_page(self, page, top, left, height, width):
        frame = page.keyframe
        if _is_mapped(page):
            planes = self._map(page)
            part = planes[:, top : top + height, left : left + width]
            return np.moveaxis(part, 0, 2).reshape(height, width, -1)
        planes, _, length, breadth, samples = frame.shaped
        rows, columns = _segment_shape(frame)
        across, down = math.ceil(breadth / columns), math.ceil(length / rows)
        found = np.full((planes, height, width, samples), frame.nodata, frame.dtype)
        for plane in range(planes):
            for row in range(top // rows, math.ceil((top + height) / rows)):
                for column in range(left // columns, math.ceil((left + width) / columns)):
                    segment = self._read_segment(page, (plane * down + row) * across + column)
                    if segment is not None:
                        _paste(segment, found[plane], row * rows - top, column * columns - left)
        return np.moveaxis(found, 0, 2).reshape(height, width, -1)

    def _read_segment(self, page, number):
        """The decoded tile or strip of a page: `(H, W, S)` array; None if it is missing."""
        frame = page.keyframe
        count = page.databytecounts[number]
        if not count:
            return None
        contents = self._read_bytes(page.dataoffsets[number], count)
        if len(contents) < count:
            raise UnreadableImageError("it is truncated")
        options = {"_fullsize": frame.is_tiled}
        if page.jpegtables is not None or frame.compression in (6, 7, 34892, 33007):  # JPEG
            options |= {"jpegtables": page.jpegtables, "jpegheader": frame.jpegheader}
        try:
            segment, _, _ = frame.decode(contents, number, **options)
        except Exception as error:
            raise UnreadableImageError(str(error).split("\n")[0]) from error
        return None if segment is None else segment[0]

    def _read_bytes(self, start, count):
        if hasattr(os, "pread"):  # processes that were forked share the position in the file
            return os.pread(self._file.fileno(), count, start)
        with self._lock:
            self._file.seek(start)
            return self._file.read(count)

    def _map(self, page):
        """An uncompressed page as a memory map, `(planes, H, W, S)`."""
        frame = page.keyframe
        planes, _, length, breadth, samples = frame.shaped
        dtype = np.dtype(frame.dtype).newbyteorder(frame.parent.byteorder)
        count, start = planes * length * breadth * samples, page.dataoffsets[0]
        with self._lock:
            if self._bytes is None:  # one for all pages, since each map keeps a file open
                self._bytes = np.memmap(self.path, "u1", "r")
        part = self._bytes[start : start + count * dtype.itemsize]
        if len(part) < count * dtype.itemsize:
            raise UnreadableImageError("it is truncated")
        return part.view(dtype).reshape(planes, length, breadth, samples)


def _read_nodata(tag):
    """The value of GDAL's tag; None if there is none, or it is no number."""
    try:
        return float(tag.value.strip("\0 "))
    except (AttributeError, ValueError):
        return None


def _check_codec(page):
    """Raises an error if a compression needs the extra `[formats]`; Pillow may read the whole."""
    if page.keyframe.compression > 1:
        try:
            import imagecodecs  # noqa: F401
        except ModuleNotFoundError:
            raise UnreadableImageError("parts of it need the extra `[formats]`") from None


def _is_mapped(page):
    frame = page.keyframe
    return not frame.is_tiled and page.is_memmappable


def _segment_shape(frame):
    """Rows and columns of a page's tiles or strips."""
    if frame.is_tiled:
        return frame.tilelength, frame.tilewidth
    return min(frame.rowsperstrip, frame.imagelength), frame.imagewidth


def _paste(segment, image, top, left):
    """Copies a segment into an image, at a place that may lie partly outside of it."""
    height, width = image.shape[:2]
    rows = slice(max(top, 0), min(top + segment.shape[0], height))
    columns = slice(max(left, 0), min(left + segment.shape[1], width))
    image[rows, columns] = segment[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]


def _list_pages(level):
    """The pages of a level of a pyramid, each with some channels of the whole image.

    Raises:
        UnreadableImageError: if the pages do not have the form of `formats.read_image`.
    """
    pages = list(level.pages)
    page = pages[0]
    frame = page.keyframe
    own = {"YX": "YX", "YXS": "YXS", "SYX": "SYX"}.get(frame.axes)
    is_named = level.axes != "QYX" or level.shape[2] >= min(level.shape[:2])
    others = level.axes.removesuffix(own or "?")
    orientation = frame.tags.get("Orientation")
    is_readable = (
        own
        and level.axes.endswith(own)
        and not set("YX") & set(others)
        and None not in pages
        and len(pages) == math.prod(level.shape[: len(others)])
        and frame.shaped[1] == 1
        and (orientation is None or int(orientation.value) == 1)
        and is_named
        and (frame.photometric not in OTHER_COLORS or frame.bitspersample > 8)
    )
    segment = math.prod(_segment_shape(frame)) * frame.shaped[4] * frame.dtype.itemsize
    if not is_readable or (segment > MAX_SEGMENT_BYTES and not _is_mapped(page)):
        raise UnreadableImageError("its parts cannot be read by themselves")
    return pages


def reduce_image(image, rows, columns, level=0):
    """Reduces a large image to the means of equal cells, in little memory.

    It reads the coarsest level of a pyramid at which a cell has a pixel.

    Args:
        image: `TiffWindows` or `DecodedImage`.
        rows, columns: ints, the numbers of cells, at most those of pixels of the level.
        level: int, the finest level to read. Defaults to 0.

    Returns:
        Pair of the means `(rows, columns, C)`, NaN for a cell without a known pixel, and the share
        of known pixels `(rows, columns)`, see `find_missing`.
    """
    levels = range(level, len(image.sizes))
    level = max((at for at in levels if image.sizes[at][0] >= rows), default=level)
    height, width = image.sizes[level]
    tops = np.minimum(np.linspace(0, height, rows + 1).astype(int)[:-1], height - 1)
    lefts = np.minimum(np.linspace(0, width, columns + 1).astype(int)[:-1], width - 1)
    per_strip = max(1, STRIP_PIXELS // (width * max(1, height // rows)))
    parts = []
    for start in range(0, rows, per_strip):
        inner = tops[start : start + per_strip]
        end = tops[start + per_strip] if start + per_strip < rows else height
        first, end = int(inner[0]), max(int(end), int(inner[-1]) + 1)
        strip = image.read(level, first, 0, end - first, width)
        parts.append(_cell_means(strip, image.nodata, inner - first, lefts))
    means, shares = zip(*parts)
    return np.concatenate(means), np.concatenate(shares)


def _cell_means(image, nodata, tops, lefts):
    """Means and known shares of the cells that begin at these rows and columns."""
    missing = find_missing(image, nodata)
    known = np.ones(image.shape[:2]) if missing is None else 1.0 - missing
    image = image.astype("float64")
    if missing is not None:
        image[missing] = 0
    count, total, pixels = (
        np.add.reduceat(np.add.reduceat(x, tops, axis=0), lefts, axis=1)
        for x in (known, image, np.ones(image.shape[:2]))
    )
    with np.errstate(invalid="ignore"):
        return total / np.where(count > 0, count, np.nan)[..., None], count / pixels


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


def converted_dtype(dtype):
    """The name of the data type that the decoder makes of a stored one."""
    name = np.dtype(dtype).newbyteorder("=").name
    return CONVERSIONS.get(name, name)
