"""Tiles: parts of large images, each a row of a source, read when they are needed."""

import collections.abc
import dataclasses
import os
import re

import numpy as np
from absl import logging

from keras_isd.data.decoding.decoder import Decoder
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.decoding.missing_pixels import fill_missing
from keras_isd.data.decoding.windows import DecodedImage
from keras_isd.data.groups import short_names
from keras_isd.data.sources.contents import read_array, write_array
from keras_isd.data.sources.foreground import foreground_shares
from keras_isd.data.sources.image_source import GIBIBYTE, ImageSource
from keras_isd.data.sources.recent_items import RecentItems
from keras_isd.data.sources.storage import FilesInPython
from keras_isd.validation.arguments import check_positive_integer

# The columns of an array of boxes: the row of the large image, the place and the size in pixels of
# the pyramid's level, and the level. A width of 0 means the whole image.
COLUMNS = ("image", "left", "top", "width", "height", "level")
_NAME = re.compile(r"(.*)\[(\d+),(\d+),(\d+),(\d+)(?:@(\d+))?\]", re.DOTALL)


def tiles(source, size, stride=None, keep=0.25, level=0, cache=None):
    """Makes a source of the square tiles of large images.

    Tiles are read when they are needed: of TIFF (also BigTIFF, OME-TIFF, GeoTIFF and SVS) only the
    parts under a tile; images of other formats are decoded whole, and the last ones are kept, up to
    1 GiB. Tiles cover the whole image; the last ones of a row or column are moved inwards.

    Tiles of mostly background are left out. Background has little texture compared with the rest of
    its image: see `keras_isd.data.sources.foreground`. Missing pixels (NaN, or GDAL's `nodata`) are
    background, too, and become the median of their tile.

    In training, each tile is moved by a random offset of at most half a stride, which depends only
    on (seed, epoch, row); with features of a teacher, which are of the tiles in their places, none
    is moved.

    Args:
        source: `ImageSource` of large images.
        size: int, side of a tile in pixels of the level.
        stride: int, distance of neighbouring tiles; None for `size`, so that tiles do not overlap.
            Defaults to None.
        keep: float in [0, 1], the least share of foreground of a tile. 0 keeps all tiles. Defaults
            to 0.25.
        level: int, the level of pyramids, 0 for full resolution. Defaults to 0.
        cache: path of a folder that keeps the foreground of local files, so that a later call does
            not read them again; or None. Defaults to None.

    Returns:
        An `ImageSource`, whose names are such as `slide_07.tif[1024,512,256,256]`: the file, left,
        top, width and height (and `@1` if the level is 1). Labels and groups are those of the large
        image; without groups each large image is a group.

    Raises:
        ValueError: if an argument is out of range, an image has no such level, or no image is large
            enough or has a tile with enough foreground. Single images that are smaller than a tile
            or cannot be read are logged and left out, or raise if the source has
            `on_error="raise"`.

    Example:

    >>> images = np.random.RandomState(0).randint(0, 256, (2, 64, 96, 3), "uint8")
    >>> found = keras_isd.data.tiles(keras_isd.data.from_arrays(images), 32, keep=0)
    >>> len(found), found[0].shape, found.names[1], found.groups.tolist()[5:7]
    (12, (32, 32, 3), 'row 0[32,0,32,32]', [0, 1])
    """
    check_positive_integer("size", size)
    stride = size if stride is None else stride
    check_positive_integer("stride", stride)
    if not 0 <= keep <= 1:
        raise ValueError(f"Argument `keep` must be in [0, 1]. Received: {keep=}")
    if not isinstance(level, int) or level < 0:
        raise ValueError(f"Argument `level` must be an integer >= 0. Received: {level=}")
    large = LargeImages(source)
    grid = _Grid(size, stride, level)
    parts, skipped, background = [], {}, 0
    for row in range(len(source)):
        try:
            boxes = grid.boxes(large.open(row), row)
            if keep:
                shares = foreground_shares(large, row, boxes, cache)
                background += int(np.count_nonzero(shares < keep))
                boxes = boxes[shares >= keep]
            parts.append(boxes)
        except UnreadableImageError as error:
            skipped[large.name(row)] = str(error)
    _report(source, large, grid, parts, skipped, background, keep)
    return tile_source(source, np.concatenate(parts), stride)


def tile_source(source, boxes, stride=0, names=None, **options):
    """Makes a source of parts of a source's images.

    Args:
        source: `ImageSource` of large images.
        boxes: `(N, 6)` integers, see `COLUMNS`.
        stride: int, see `TileFiles`. Defaults to 0.
        names: list of N str. Defaults to those of `tiles`.
        **options: labels, groups and names of both, see `ImageSource`. Default to those of the
            large images.
    """
    boxes = np.asarray(boxes, "int32")
    files = TileFiles(source, boxes, stride)
    decoder = Decoder(source.channels, source.dtype, read_array, source.decoder.convert)
    if not options:
        options = inherited_options(files.large, boxes[:, 0])
    return ImageSource(
        files,
        count=len(boxes),
        names=TileNames(files) if names is None else names,
        on_error=source.on_error,
        decoder=decoder,
        **options,
    )


def inherited_options(large, rows):
    """Labels and groups of the parts of large images, by the row of each part's image."""
    source = large.source
    if source.groups is None:
        names = [large.name(row) for row in range(len(source))]
        groups, group_names = rows, short_names(names)
    else:
        groups, group_names = source.groups[rows], source.group_names
    return {
        "labels": None if source.labels is None else source.labels[rows],
        "class_names": source.class_names,
        "groups": groups,
        "group_names": group_names,
    }


def parse_name(name):
    """Parses the name of a tile: pair of the file and the five numbers of a box; None if none."""
    if not name.endswith("]") or os.path.exists(name):
        return None
    match = _NAME.fullmatch(name)
    return match and (match[1], tuple(int(number or 0) for number in match.groups()[1:]))


def tile_corners(image, boxes):
    """The corners of tiles of an image, `(n, 4, 2)`, in pixels of its full resolution.

    Args:
        image: `TiffWindows` or `DecodedImage`.
        boxes: `(n, 6)` integers, see `COLUMNS`.
    """
    sizes = np.array(image.sizes, float)
    left, top, width, height, level = boxes[:, 1:].T
    height, width = np.where(width > 0, [height, width], sizes[level].T)  # 0 for the whole image
    down, across = (sizes[0] / sizes[level]).T
    left, right = left * across, (left + width) * across
    top, bottom = top * down, (top + height) * down
    return np.stack([[left, top], [right, top], [right, bottom], [left, bottom]]).transpose(2, 0, 1)


@dataclasses.dataclass(frozen=True)
class _Grid:
    """The places of tiles in an image."""

    size: int
    stride: int
    level: int

    def boxes(self, image, row):
        """The boxes of all tiles of an image, row by row: `(n, 6)` integers."""
        if self.level >= len(image.sizes):
            raise UnreadableImageError(
                f"it has {len(image.sizes)} levels, expected level {self.level}"
            )
        height, width = image.sizes[self.level]
        if min(height, width) < self.size:
            raise UnreadableImageError(
                f"it has {height} x {width} pixels, less than a tile of {self.size}"
            )
        tops, lefts = (self._places(length) for length in (height, width))
        found = np.empty((len(tops), len(lefts), len(COLUMNS)), "int32")
        found[..., 0], found[..., 5] = row, self.level
        found[..., 1], found[..., 2] = lefts, tops[:, None]
        found[..., 3:5] = self.size
        return found.reshape(-1, len(COLUMNS))

    def _places(self, length):
        places = np.arange(0, length - self.size + 1, self.stride)
        last = length - self.size
        return places if places[-1] == last else np.append(places, last)


def _report(source, large, grid, parts, skipped, background, keep):
    """Logs the numbers of tiles and the images left out; raises a ValueError if none is left."""
    count = sum(map(len, parts))
    reasons = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:3])
    if skipped and (source.on_error == "raise" or not parts):
        raise ValueError(
            f"Argument `source` must have images of at least {grid.size} pixels a side with level "
            f"{grid.level}. Received: {reasons}"
        )
    if not count:
        raise ValueError(
            f"Argument `keep` must leave a tile. Received: {keep=}, and {background:,} tiles of "
            "less foreground"
        )
    if skipped:
        logging.warning("%d images have no tiles: %s", len(skipped), reasons)
    if keep:
        logging.info(
            "%d of %d tiles in %d images have at least %.0f %% foreground",
            *(count, count + background, len(parts), 100 * keep),
        )


class LargeImages:
    """The images of a source, opened when a part of one is read.

    The last ones stay open, as long as they take little memory. Several threads may read at once.

    Args:
        source: `ImageSource`.
        max_bytes: int, the memory of all open images. Defaults to 1 GiB.
        as_stacks: bool, whether images without named axes are refused, and a DICOM file stands for
            its series. Defaults to False.
        axes: str, the letters of stacks' axes, such as TCYX, or None for those that files name.
            Defaults to None.
    """

    def __init__(self, source, max_bytes=GIBIBYTE, as_stacks=False, axes=None):
        self.source, self.as_stacks, self.axes = source, as_stacks, axes
        self._max_bytes = max_bytes
        self._recent = RecentItems(self._load, lambda image: image.num_bytes, max_bytes)

    def name(self, row):
        """The name of an image."""
        return self.source.row_name(row)

    def open(self, row):
        """Opens the image of a row: `DecodedImage`, or `TiffWindows` or one like it."""
        return self._recent(row)

    def _load(self, row):
        if self.as_stacks:
            return self.source.open_parts(row, self.axes, is_series=True)
        try:
            return self.source.open_parts(row)
        except UnreadableImageError:  # or the whole image is readable
            return DecodedImage(self.source.read_exactly(row))

    def __reduce__(self):
        return LargeImages, (self.source, self._max_bytes, self.as_stacks, self.axes)


class TileFiles(FilesInPython):
    """Parts of images as the contents of files.

    Args:
        source: `ImageSource` of large images.
        boxes: `(N, 6)` int32 array, see `COLUMNS`.
        stride: int, distance of neighbouring tiles, which are moved by at most its half; 0 for no
            shifts. Defaults to 0.
    """

    def __init__(self, source, boxes, stride=0):
        self.large = LargeImages(source)
        self.boxes = boxes
        self.stride = stride
        self.has_shifts = stride > 0
        super().__init__()

    def read_bytes(self, row, shift=(0.5, 0.5)):
        """Reads a tile as the contents of a `.npy` file.

        Args:
            row: int.
            shift: pair of floats in [0, 1): 0 moves the tile half a stride up (or left), and 1 half
                a stride down (or right), within the image. Defaults to no shift.
        """
        number, left, top, width, height, level = self.boxes[row].tolist()
        image = self.large.open(number)
        if level >= len(image.sizes):
            raise UnreadableImageError(f"it has {len(image.sizes)} levels, expected level {level}")
        full = image.sizes[level]
        height, width = (height, width) if width else full
        if top + height > full[0] or left + width > full[1]:
            raise UnreadableImageError(f"it has {full[0]} x {full[1]} pixels, fewer than expected")
        down, right = (round((float(part) - 0.5) * self.stride) for part in shift)
        top = min(max(top + down, 0), full[0] - height)
        left = min(max(left + right, 0), full[1] - width)
        part = fill_missing(image.read(level, top, left, height, width), image.nodata)
        return write_array(part)

    def __reduce__(self):
        return TileFiles, (self.large.source, self.boxes, self.stride)


class TileNames(collections.abc.Sequence):
    """The names of tiles, made when they are needed: a million of them take no memory."""

    def __init__(self, files):
        self._files = files

    def __len__(self):
        return len(self._files.boxes)

    def __getitem__(self, row):
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        number, left, top, width, height, level = self._files.boxes[row].tolist()
        at_level = f"@{level}" if level else ""
        return f"{self._files.large.name(number)}[{left},{top},{width},{height}{at_level}]"
