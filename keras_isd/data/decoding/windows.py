"""Reads parts of large images, at best without decoding the rest."""

import math
import os
import threading

import numpy as np

from keras_isd.data.decoding.decoder import CONVERSIONS
from keras_isd.data.decoding.formats import (
    OTHER_COLORS,
    PALETTE,
    WHITE_IS_ZERO,
    UnreadableImageError,
    main_series,
    suppress_logs,
)
from keras_isd.data.decoding.missing_pixels import find_missing, read_nodata

BLOCK_PIXELS = 2**22  # read at once to reduce an image
MIN_BYTES = 2**24  # that an open file counts, so that a gibibyte holds at most 64 of them
MAX_SEGMENT_BYTES = 2**26  # of a compressed tile or strip; with larger ones all is decoded once


class DecodedImage:
    """An image in memory, with the interface of `TiffWindows`.

    Args:
        image: `(H, W, C)` array.
    """

    nodata, is_georeferenced = None, False
    lengths: dict[str, int] = {}

    def __init__(self, image):
        self.image = image
        self.sizes, self.channels = [image.shape[:2]], image.shape[2]
        self.num_bytes = image.nbytes

    def read(self, level, top, left, height, width):
        """Reads a part: `(height, width, C)` array."""
        return self.image[top : top + height, left : left + width]

    def segment_width(self, level):
        """See `TiffWindows.segment_width`."""
        return 1


class TiffWindows:
    """Reads parts of a TIFF image, at any level of its pyramid.

    Only the tiles or strips under a part are read and decoded; an uncompressed image is mapped into
    memory. BigTIFF, OME-TIFF, GeoTIFF and SVS are TIFF. Several threads may read at once.

    Args:
        path: str, a local file.
        axes: str, the letters of the axes, such as TCYX, or None for those that the file names.
            Defaults to None.

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

    def __init__(self, path, axes=None):
        import tifffile

        self.path = path
        self._lock = threading.Lock()
        try:
            self._file = open(path, "rb")  # noqa: SIM115 - closed with this object
            with suppress_logs("tifffile"):
                tiff = tifffile.TiffFile(self._file, _multifile=False)
                series = main_series(tiff)
                self._levels = [_list_pages(level, axes) for level in _find_levels(tiff)]
                _check_codec(self._levels[0][0])
                _check_own(self._levels, tiff)
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
        self.lengths = dict(zip((axes or series.axes)[:others], series.shape[:others]))
        self.dtype = first.dtype
        self.is_georeferenced = first.is_geotiff
        self.nodata = read_nodata(first.tags.get("GDAL_NODATA"))
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

    def segment_width(self, level):
        """The width in pixels of a tile or strip, which is decoded at once."""
        page = self._levels[level][0]
        return 1 if _is_mapped(page) else _segment_shape(page.keyframe)[1]

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


def _check_codec(page):
    """Raises an error if a compression needs the extra `[formats]`; Pillow may read the whole."""
    if page.keyframe.compression > 1:
        try:
            import imagecodecs  # noqa: F401
        except ModuleNotFoundError:
            raise UnreadableImageError("parts of it need the extra `[formats]`") from None


def _check_own(levels, tiff):
    """Raises an error if a page lies in another file of a set, as those of Micro-Manager may."""
    if any(page.parent is not tiff for pages in levels for page in pages):
        raise UnreadableImageError("some of its pages are in other files")


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


def _find_levels(tiff):
    """The levels of the main image of a file, the largest first: list of tifffile's series.

    tifffile knows the levels of slides and of its own files. Those of others, such as GDAL
    (cloud-optimised GeoTIFF) and libvips, are further pages, or pages within the first one, that
    are marked as reduced.
    """
    import tifffile

    series = main_series(tiff)
    if series.kind != "generic" or len(series.pages) > 1:
        return series.levels
    first = series.pages[0]
    height, width = first.imagelength, first.imagewidth
    levels = {height: series}
    for page in (*(first.pages or ()), *tiff.pages):
        page = page if isinstance(page, tifffile.TiffPage) else page.aspage()
        is_level = page.subfiletype == 1 and page.shape[2:] == first.shape[2:]
        is_level &= page.axes == first.axes and page.dtype == first.dtype
        expected = page.imagelength * width / height
        if is_level and page.imagelength < height and abs(page.imagewidth - expected) < 2:
            level = tifffile.TiffPageSeries([page], page.shape, page.dtype, page.axes)
            levels.setdefault(page.imagelength, level)
    return [levels[length] for length in sorted(levels, reverse=True)]


def _list_pages(level, axes=None):
    """The pages of a level of a pyramid, each with some channels of the whole image.

    Args:
        level: tifffile's series.
        axes: str, the letters of its axes, or None for those that tifffile finds. Defaults to None.

    Raises:
        UnreadableImageError: if the pages do not have the form of `formats.read_image`.
    """
    pages = list(level.pages)
    page = pages[0]
    frame = page.keyframe
    own = {"YX": "YX", "YXS": "YXS", "SYX": "SYX"}.get(frame.axes)
    if axes is not None and len(axes) != len(level.shape):
        raise UnreadableImageError(f"it has the shape {level.shape}, expected the axes {axes}")
    axes = axes or level.axes
    is_named = axes != "QYX" or level.shape[2] >= min(level.shape[:2])
    others = axes.removesuffix(own or "?")
    orientation = frame.tags.get("Orientation")
    is_readable = (
        own
        and axes.endswith(own)
        and not set("YX") & set(others)
        and None not in pages
        and len(pages) == math.prod(level.shape[: len(others)])
        and frame.shaped[1] == 1
        and (orientation is None or int(orientation.value) == 1)
        and is_named
        and frame.photometric not in (WHITE_IS_ZERO, PALETTE)
        and (frame.photometric not in OTHER_COLORS or frame.bitspersample > 8)
    )
    segment = math.prod(_segment_shape(frame)) * frame.shaped[4] * frame.dtype.itemsize
    if not is_readable or (segment > MAX_SEGMENT_BYTES and not _is_mapped(page)):
        raise UnreadableImageError("its parts cannot be read by themselves")
    return pages


def reduce_image(image, rows, columns, level=0, wanted=None):
    """Reduces a large image to the means of equal cells, in little memory.

    It reads the coarsest level of a pyramid at which a cell has a pixel.

    Args:
        image: `TiffWindows` or `DecodedImage`.
        rows, columns: ints, the numbers of cells, at most those of pixels of the level.
        level: int, the finest level to read. Defaults to 0.
        wanted: range of the rows of cells to compute, or None for all. Defaults to None.

    Returns:
        Pair of the means `(rows, columns, C)`, NaN for a cell without a known pixel, and the share
        of known pixels `(rows, columns)`, see `find_missing`.
    """
    levels = range(level, len(image.sizes))
    level = max((at for at in levels if image.sizes[at][0] >= rows), default=level)
    height, width = image.sizes[level]
    # Blocks as wide as the segments in the file, or else about square.
    breadth = min(width, max(image.segment_width(level), math.isqrt(BLOCK_PIXELS)))
    wanted = range(rows) if wanted is None else wanted
    means = np.empty((len(wanted), columns, image.channels))
    shares = np.empty((len(wanted), columns))
    for row, top, bottom, tops in _divide(height, rows, BLOCK_PIXELS // breadth, wanted):
        for column, left, right, lefts in _divide(width, columns, breadth, range(columns)):
            block = image.read(level, top, left, bottom - top, right - left)
            place = slice(row, row + len(tops)), slice(column, column + len(lefts))
            means[place], shares[place] = _cell_means(block, image.nodata, tops, lefts)
    return means, shares


def _divide(length, count, step, wanted):
    """Divides an axis into blocks of whole cells.

    Args:
        length: int, pixels.
        count: int, cells.
        step: int, about the pixels of a block.
        wanted: range of cells.

    Yields:
        The number of the block's first cell among the wanted ones, its first pixel, the pixel after
        its last, and the places in the block at which its cells begin.
    """
    starts = np.minimum(np.linspace(0, length, count + 1).astype(int)[:-1], length - 1)
    cells = max(1, count * step // length)
    for first in wanted[::cells]:
        after = min(first + cells, wanted.stop)
        inner = starts[first:after]
        end = int(starts[after]) if after < count else length
        yield first - wanted.start, int(inner[0]), max(end, int(inner[-1]) + 1), inner - inner[0]


def _cell_means(image, nodata, tops, lefts):
    """Means and known shares of the cells that begin at these rows and columns."""
    height, width, _ = image.shape
    pixels = np.outer(np.diff(tops, append=height), np.diff(lefts, append=width)).astype(float)
    if (image == image[0, 0]).all():  # such as tiles that a file lacks, most of a large slide
        is_missing = find_missing(image[:1, :1], nodata) is not None
        value = np.where(is_missing, np.nan, image[0, 0].astype(float))
        return np.tile(value, (*pixels.shape, 1)), np.full(pixels.shape, 1.0 - is_missing)
    missing = find_missing(image, nodata)
    # Sums of so few bytes are exact in 32 bits.
    is_small = image.dtype == "uint8" and pixels.max() < 2**16
    image = image.astype("float32" if is_small else "float64")
    count = pixels
    if missing is not None:
        image[missing] = 0
        count = _cell_sums(1.0 - missing[..., None], tops, lefts)[..., 0]
    total = _cell_sums(image, tops, lefts)
    with np.errstate(invalid="ignore"):
        return total / np.where(count > 0, count, np.nan)[..., None], count / pixels


def _cell_sums(image, tops, lefts):
    rows = np.add.reduceat(image.reshape(len(image), -1), tops, axis=0)
    return np.add.reduceat(rows.reshape(len(tops), *image.shape[1:]), lefts, axis=1)


def converted_dtype(dtype):
    """The name of the data type that the decoder makes of a stored one."""
    name = np.dtype(dtype).newbyteorder("=").name
    return CONVERSIONS.get(name, name)
