"""Small copies of images in colours of 8 bits, many on one sheet.

A sheet is one JPEG of a square of thumbnails: a JPEG each would take half its bytes to say how it
is coded.
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
from keras_isd.visualization.views import in_color

COLUMNS = 10  # of a sheet, and its rows
ON_A_SHEET = COLUMNS**2
BLOCK = 16  # pixels that JPEG codes together: a thumbnail of whole blocks leaves the next alone
SAMPLED = 200  # images that the range of values and the quality are told from
PERCENTILES = (0.5, 99.5)
SMALL = 48  # pixels, of thumbnails of small images
QUALITIES = (90, 80, 70, 60, 45, 30, 20)
SHEETS_BYTES = 40_000_000  # of all sheets, about; base64 adds a third
_EMPTY, _UNREADABLE = (255, 255, 255), (225, 225, 225)


class Sheets(NamedTuple):
    """Thumbnails of images in the order of their rows.

    Attributes:
        contents: list of bytes, JPEG files of `COLUMNS` by `COLUMNS` cells, row by row.
        side: int, pixels of a thumbnail, which is in the upper left corner of its cell.
        unreadable: list of int, images that could not be read and have a grey thumbnail.
    """

    contents: list[bytes]
    side: int
    unreadable: list[int]

    def place(self, row):
        """The number of an image's sheet, and the CSS position of its thumbnail there."""
        down, across = divmod(row % ON_A_SHEET, COLUMNS)
        positions = self.places()["positions"]
        return row // ON_A_SHEET, f"{positions[across]} {positions[down]}"

    def places(self):
        """What explorer.js reads to find a thumbnail: positions along a side of a sheet."""
        cell = _in_blocks(self.side)
        # CSS' 100 % is where the ends meet.
        way = COLUMNS * cell - self.side
        positions = [f"{100 * at * cell / way:.5g}%" for at in range(COLUMNS)]
        return {"positions": positions, "on_a_sheet": ON_A_SHEET}

    def style(self):
        """CSS in which `.picture` is a thumbnail, `.s0` of the first sheet, and so on."""
        size = f"{100 * COLUMNS * _in_blocks(self.side) / self.side:.5g}%"
        # Pixels that are seen one by one are shown as they are.
        drawn = "image-rendering:pixelated;" if self.side < SMALL else ""
        addresses = (base64.b64encode(sheet).decode() for sheet in self.contents)
        sheets = (
            f".s{number}{{background-image:url(data:image/jpeg;base64,{address})}}"
            for number, address in enumerate(addresses)
        )
        return "\n".join([f".picture{{{drawn}background-size:{size} {size}}}", *sheets])


def make_sheets(images, count, size):
    """Reads each image once, and makes `Sheets` of thumbnails of `size` pixels, at most.

    Args:
        images: sequence, `ImageSource`, or function from a row to an image `(H, W, C)` or `(H, W)`.
        count: int, how many there are.
        size: int.

    Raises:
        ValueError: if none of the images can be read.
    """
    reader = _Reader(images, size)
    sampled = np.unique(np.linspace(0, count - 1, min(count, SAMPLED)).astype(int)).tolist()
    # Files are read side by side; a function of the user's is called by one thread alone.
    with concurrent.futures.ThreadPoolExecutor(8 if isinstance(images, ImageSource) else 1) as pool:
        known = dict(zip(sampled, pool.map(reader.read, sampled)))
        in_bytes = _Range([found for found in known.values() if found is not None])
        pictures = [in_bytes(known[row]) for row in sampled]
        sides = [max(picture.shape[:2]) for picture in pictures if picture is not None]
        side = max(sides, default=size)
        quality = _quality(pictures, side, count)
        contents = []
        for start in range(0, count, ON_A_SHEET):
            rows = range(start, min(start + ON_A_SHEET, count))
            new = [row for row in rows if row not in known]
            read = dict(zip(new, pool.map(reader.read, new)))
            found = (known.pop(row) if row in known else read[row] for row in rows)
            contents.append(_sheet([in_bytes(one) for one in found], side, quality))
    reader.report(count)
    return Sheets(contents, side, sorted(reader.failed))


class _Reader:
    """Reads images by their rows and makes them small; remembers what could not be read."""

    def __init__(self, images, size):
        self.size = size
        self.failed = {}
        self._read = images if callable(images) else images.__getitem__
        if isinstance(images, ImageSource):
            self._read = lambda row: _own_image(images, row)

    def read(self, row):
        """The small image, of three channels, and how many there were; or None."""
        # What a function of the user's raises of a broken file is of any kind.
        try:
            image = np.asarray(self._read(row))
            image = image[..., None] if image.ndim == 2 else image
            if image.ndim != 3 or not image.size:
                raise ValueError(f"it is of shape {image.shape}")
            return self._small(image), image.shape[-1]
        except Exception as error:
            self.failed[row] = error
            return None

    def _small(self, image):
        image = in_color(image)
        if image.dtype == bool:
            image = image.astype("uint8") * 255
        if image.dtype != "uint8":
            image = np.nan_to_num(image.astype("float32"), posinf=0, neginf=0)
        return limit_longer_side(image, self.size)

    def report(self, count):
        """Warns of images that could not be read; raises a ValueError if all could not."""
        if not self.failed:
            return
        row = min(self.failed)
        if len(self.failed) == count:
            raise ValueError(
                "Argument `images` must have an image that can be read. "
                f"Received: {count} that cannot, the first of which says: {self.failed[row]}"
            ) from self.failed[row]
        logging.warning(
            "%d of %d images cannot be read and are grey; the first, row %d, says: %s",
            len(self.failed),
            count,
            row,
            self.failed[row],
        )


def _own_image(source, row):
    """The image of a row of a source, which gives another where that cannot be read."""
    image, found = source.read_one(row)
    if found != row:
        raise ValueError("its file cannot be read")
    return image


class _Range:
    """From small images of any depth to 8 bits, by percentiles of some that have more.

    Of up to four channels, which may be colours, all have one range; of more, which are of
    different wavelengths or units, each has its own.
    """

    def __init__(self, some):
        deep = [(image, channels) for image, channels in some if image.dtype != "uint8"]
        axis = None if all(channels <= 4 for _, channels in deep) else 0
        pixels = np.concatenate([image.reshape(-1, 3) for image, _ in deep] or [[[0.0, 255.0, 0]]])
        self.low, self.high = np.percentile(pixels, PERCENTILES, axis=axis)
        self.high = np.where(self.high > self.low, self.high, self.low + 1)

    def __call__(self, found):
        if found is None:
            return None
        image = found[0]
        if image.dtype == "uint8":
            return image
        share = (image - self.low) / (self.high - self.low)
        return np.rint(255 * np.clip(share, 0, 1)).astype("uint8")


def _quality(pictures, side, count):
    """The best of `QUALITIES` at which all sheets take no more than they should."""
    for quality in QUALITIES:
        starts = range(0, len(pictures), ON_A_SHEET)
        size = sum(len(_sheet(pictures[s : s + ON_A_SHEET], side, quality)) for s in starts)
        if size * count / len(pictures) <= SHEETS_BYTES:
            break
    return quality


def _sheet(pictures, side, quality):
    """A JPEG of pictures, each in the corner of its cell; None is a grey one."""
    cell = _in_blocks(side)
    sheet = Image.new("RGB", (COLUMNS * cell, COLUMNS * cell), _EMPTY)
    for place, picture in enumerate(pictures):
        top, left = place // COLUMNS * cell, place % COLUMNS * cell
        if picture is None:
            sheet.paste(_UNREADABLE, (left, top, left + side, top + side))
            continue
        picture = picture[:side, :side]  # of one that is larger than all that were sampled
        gaps = [side - length for length in picture.shape[:2]]
        # An edge within a block would be seen in it: what is beyond is as what is shown.
        beyond = [(0, 0 if gap else cell - side) for gap in gaps]
        picture = np.pad(picture, [*beyond, (0, 0)], mode="edge")
        sheet.paste(Image.fromarray(picture), (left + gaps[1] // 2, top + gaps[0] // 2))
    contents = io.BytesIO()
    # Colours at half the resolution are those of the next cell too at the edge, by a pixel.
    subsampling = 0 if side < SMALL else 2
    sheet.save(contents, "JPEG", quality=quality, subsampling=subsampling)
    return contents.getvalue()


def _in_blocks(side):
    return -(-side // BLOCK) * BLOCK
