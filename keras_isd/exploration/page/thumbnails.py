"""Thumbnails of images in 8-bit colours, many on one sheet.

A sheet is one JPEG with a square of thumbnails: in separate JPEGs headers would take half of the
bytes.
"""

import base64
import concurrent.futures
import io
from typing import NamedTuple

import numpy as np
from absl import logging
from PIL import Image

from keras_isd.data import ImageSource
from keras_isd.data.decoding.resizing import limit_longer_side
from keras_isd.visualization.pixels import MAX_COLORS, select_rgb, unit_scale

SHEET_COLUMNS = 10  # and rows
SHEET_IMAGES = SHEET_COLUMNS**2
BLOCK_PIXELS = 16  # coded together by JPEG: cells of whole blocks do not affect each other
SAMPLED_IMAGES = 200  # from which the value range and the JPEG quality are chosen
SMALL_PIXELS = 48  # below which thumbnails are of small images
QUALITIES = (90, 80, 70, 60, 45, 30, 20)
MAX_SHEET_BYTES = 40_000_000  # of all sheets together, about; base64 adds a third
_EMPTY, _UNREADABLE = (255, 255, 255), (225, 225, 225)


class Sheets(NamedTuple):
    """Thumbnails of images in the order of their rows.

    Attributes:
        contents: list of bytes, JPEG files of `SHEET_COLUMNS` by `SHEET_COLUMNS` cells, row by row.
        side: int, side of a thumbnail in pixels; it lies in the upper left corner of its cell.
        unreadable: list of int, images that could not be read and have a grey thumbnail.
    """

    contents: list[bytes]
    side: int
    unreadable: list[int]

    def place(self, row):
        """The number of an image's sheet, and the CSS position of its thumbnail on it."""
        down, across = divmod(row % SHEET_IMAGES, SHEET_COLUMNS)
        positions = self.places()["positions"]
        return row // SHEET_IMAGES, f"{positions[across]} {positions[down]}"

    def places(self):
        """The positions along a side of a sheet that explorer.js needs."""
        cell = _round_to_blocks(self.side)
        # In CSS 100 % aligns the ends of picture and box.
        extent = SHEET_COLUMNS * cell - self.side
        positions = [f"{100 * at * cell / extent:.5g}%" for at in range(SHEET_COLUMNS)]
        return {"positions": positions, "on_a_sheet": SHEET_IMAGES}

    def style(self):
        """CSS of thumbnails, `.picture`, and of the sheets, `.s0` and so on."""
        size = f"{100 * SHEET_COLUMNS * _round_to_blocks(self.side) / self.side:.5g}%"
        # Thumbnails of few pixels are enlarged without smoothing.
        rendering = "image-rendering:pixelated;" if self.side < SMALL_PIXELS else ""
        addresses = (base64.b64encode(sheet).decode() for sheet in self.contents)
        sheets = (
            f".s{number}{{background-image:url(data:image/jpeg;base64,{address})}}"
            for number, address in enumerate(addresses)
        )
        return "\n".join([f".picture{{{rendering}background-size:{size} {size}}}", *sheets])


def make_sheets(images, count, size):
    """Reads each image once, and makes `Sheets` of thumbnails of at most `size` pixels.

    Args:
        images: sequence, `ImageSource`, or function from a row to an image `(H, W, C)` or `(H, W)`.
        count: int, number of images.
        size: int, maximum of the longer side in pixels.

    Raises:
        ValueError: if no image can be read.
    """
    reader = _Reader(images, size)
    sampled = np.unique(np.linspace(0, count - 1, min(count, SAMPLED_IMAGES)).astype(int)).tolist()
    # Files are read in parallel; a user's function is called by a single thread.
    with concurrent.futures.ThreadPoolExecutor(8 if isinstance(images, ImageSource) else 1) as pool:
        known = dict(zip(sampled, pool.map(reader.read, sampled)))
        to_bytes = _ByteRange([found for found in known.values() if found is not None])
        pictures = [to_bytes(known[row]) for row in sampled]
        sides = [max(picture.shape[:2]) for picture in pictures if picture is not None]
        side = max(sides, default=size)
        quality = _quality(pictures, side, count)
        contents = []
        for start in range(0, count, SHEET_IMAGES):
            rows = range(start, min(start + SHEET_IMAGES, count))
            new = [row for row in rows if row not in known]
            read = dict(zip(new, pool.map(reader.read, new)))
            found = (known.pop(row) if row in known else read[row] for row in rows)
            contents.append(_sheet([to_bytes(one) for one in found], side, quality))
    reader.report(count)
    return Sheets(contents, side, sorted(reader.failed))


class _Reader:
    """Reads images by row and shrinks them; collects the errors of unreadable ones."""

    def __init__(self, images, size):
        self.size = size
        self.failed = {}
        self._read = images if callable(images) else images.__getitem__
        if isinstance(images, ImageSource):
            self._read = images.read_exactly

    def read(self, row):
        """The small image with three channels, and its original number of channels; or None."""
        # A user's function may raise any error for a broken file.
        try:
            image = np.asarray(self._read(row))
            image = image[..., None] if image.ndim == 2 else image
            if image.ndim != 3 or not image.size:
                raise ValueError(f"its shape is {image.shape}")
            return self._shrink(image), image.shape[-1]
        except Exception as error:
            self.failed[row] = error
            return None

    def _shrink(self, image):
        image = select_rgb(image)
        if image.dtype == bool:
            image = image.astype("uint8") * 255
        if image.dtype != "uint8":
            image = np.nan_to_num(image.astype("float32"), posinf=0, neginf=0)
        return limit_longer_side(image, self.size)

    def report(self, count):
        """Warns of unreadable images; raises a ValueError if all are unreadable."""
        if not self.failed:
            return
        row = min(self.failed)
        if len(self.failed) == count:
            raise ValueError(
                "Argument `images` must have a readable image. "
                f"Received: {count} images, none could be read; first error: {self.failed[row]}"
            ) from self.failed[row]
        logging.warning(
            "%d of %d images cannot be read and are grey; first error, row %d: %s",
            len(self.failed),
            count,
            row,
            self.failed[row],
        )


class _ByteRange:
    """Converts small images of any depth to 8 bits, by the range of some of the deeper ones."""

    def __init__(self, some):
        deep = [image for image, _ in some if image.dtype != "uint8"]
        is_color = all(channels <= MAX_COLORS for image, channels in some if image.dtype != "uint8")
        # Thumbnails have three channels; those of more, of different wavelengths, are not colours.
        self.scale = unit_scale(deep, is_color)

    def __call__(self, found):
        if found is None:
            return None
        image = found[0]
        if image.dtype == "uint8":
            return image
        return np.rint(255 * self.scale(image)).astype("uint8")


def _quality(pictures, side, count):
    """The best of `QUALITIES` for which all sheets fit into `MAX_SHEET_BYTES`."""
    for quality in QUALITIES:
        starts = range(0, len(pictures), SHEET_IMAGES)
        size = sum(len(_sheet(pictures[s : s + SHEET_IMAGES], side, quality)) for s in starts)
        if size * count / len(pictures) <= MAX_SHEET_BYTES:
            break
    return quality


def _sheet(pictures, side, quality):
    """Makes a JPEG of pictures, each in the corner of its cell; None becomes a grey one."""
    cell = _round_to_blocks(side)
    sheet = Image.new("RGB", (SHEET_COLUMNS * cell, SHEET_COLUMNS * cell), _EMPTY)
    for place, picture in enumerate(pictures):
        top, left = place // SHEET_COLUMNS * cell, place % SHEET_COLUMNS * cell
        if picture is None:
            sheet.paste(_UNREADABLE, (left, top, left + side, top + side))
            continue
        picture = picture[:side, :side]  # it may be larger than all sampled ones
        gaps = [side - length for length in picture.shape[:2]]
        # An edge within a JPEG block would blur into it: extend the border pixels.
        padding = [(0, 0 if gap else cell - side) for gap in gaps]
        picture = np.pad(picture, [*padding, (0, 0)], mode="edge")
        sheet.paste(Image.fromarray(picture), (left + gaps[1] // 2, top + gaps[0] // 2))
    contents = io.BytesIO()
    # Colours at half resolution leak into the next cell by a pixel.
    subsampling = 0 if side < SMALL_PIXELS else 2
    sheet.save(contents, "JPEG", quality=quality, subsampling=subsampling)
    return contents.getvalue()


def _round_to_blocks(side):
    return -(-side // BLOCK_PIXELS) * BLOCK_PIXELS
