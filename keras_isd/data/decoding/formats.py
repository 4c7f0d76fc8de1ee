"""Image files of many formats, read as the format's own library reads them.

What a file is, its first bytes say, whatever its name. Files are data: nothing in one is run or
unpickled, and none may take more memory than a large image does.
"""

import contextlib
import io
import logging
import re
import threading
import zipfile

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_isd.compat.optional_imports import needs_extra

# Of Pillow's formats those that hold pixels; EPS, for one, is a program.
# JPEG's has MPO with it.
PILLOW = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000"),
    *("PCX", "PNG", "PPM", "SGI", "TGA", "TIFF", "WEBP"),
)
DEEP_PNG = (b"\x10\2", b"\x10\4", b"\x10\6")  # 16 bits, in colour or with transparency
# CMYK, CIELAB and its like, palettes and white as 0, which tifffile leaves as they are.
OTHER_COLORS = (0, 3, 5, 8, 9, 10)
_GAP = rb"(?:\s|#[^\n]{0,999}\n){1,99}"
PNM = re.compile(
    rb"P([2356])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,6})\s"
)
PAGES = 1_000  # of a TIFF, or frames, at most
RAW_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # of Pillow, of more than 8 bits


class UnreadableImageError(ValueError):
    """The contents of a file are no image, or not the whole of one."""


def read_image(contents):
    """The image in a file: of 8 bits as Pillow's, of another kind as an array `(H, W, C)`.

    Args:
        contents: bytes.

    Returns:
        `PIL.Image.Image` of mode L, RGB or RGBA; or an array of the values as they are stored,
        whose last axis is of bands, samples, pages or frames.

    Raises:
        UnreadableImageError: if there is nothing, or no whole image, in it, or it is too large.
    """
    if not contents:
        raise UnreadableImageError("the file is empty")
    if contents[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _of_tiff(contents)
    if contents[:6] == b"\x93NUMPY":
        return _of_npy(contents)
    if contents[:4] == b"PK\x03\x04":
        return _of_npz(contents)
    if contents[128:132] == b"DICM":
        return _of_dicom(contents)
    if contents[:8] == b"\x89PNG\r\n\x1a\n" and contents[24:26] in DEEP_PNG:
        return _of_deep_png(contents)
    if (header := PNM.match(contents)) and int(header[4]) > 255:
        return _of_deep_pnm(contents, header)
    return _of_pillow(contents)


def _of_pillow(contents):
    try:
        file = Image.open(io.BytesIO(contents), formats=PILLOW)
    except UnidentifiedImageError:
        raise UnreadableImageError("it is no image of a known kind") from None
    file.load()
    image = ImageOps.exif_transpose(file)
    if image.mode in RAW_MODES:
        return np.asarray(image)[..., None]
    return image.convert(_mode_of_8_bits(image))


def _mode_of_8_bits(image):
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return "RGBA"
    return "L" if image.mode in ("1", "L") else "RGB"


def _of_tiff(contents):
    import tifffile

    with _quiet("tifffile"), tifffile.TiffFile(io.BytesIO(contents)) as file:
        if len(file.pages) > PAGES:
            raise UnreadableImageError(f"it has {len(file.pages)} pages, of at most {PAGES}")
        series, page = file.series[0], file.pages.first
        check_size(series.shape)
        # Pillow has codecs of its own, and keeps what is of 8 bits, or gray of 16.
        plain = len(file.pages) == 1 and page.samplesperpixel <= 4
        plain = plain and (page.samplesperpixel == 1 or page.bitspersample == 8)
        if plain and page.photometric in OTHER_COLORS and page.bitspersample <= 8:
            return _of_pillow(contents)
        if page.compression > 1:
            try:
                import imagecodecs  # noqa: F401 - what tifffile has without it knows no limits
            except ModuleNotFoundError:
                if plain:
                    return _of_pillow(contents)
                with needs_extra("formats"):
                    raise
        array = series.asarray()
        if array.shape != series.shape:
            raise UnreadableImageError(f"it is cut off: of {series.shape} there is {array.shape}")
        array = _channels_last(array, series.axes)
        orientation = page.tags.get("Orientation")
        array = oriented(array, 1 if orientation is None else int(orientation.value))
        if (
            array.dtype == "uint8"
            and array.shape[-1] == 4
            and page.extrasamples[:1] in ((1,), (2,))
        ):
            return Image.fromarray(np.ascontiguousarray(array))  # of colour and transparency
        return array


@contextlib.contextmanager
def _quiet(name):
    """Context in which a logger says nothing in this thread: errors tell of what is wrong."""
    thread = threading.get_ident()
    logger, others = logging.getLogger(name), lambda record: record.thread != thread
    logger.addFilter(others)
    try:
        yield
    finally:
        logger.removeFilter(others)


def _channels_last(array, axes):
    """`(H, W, C)` of an array of tifffile's axes, of which all but Y and X are channels.

    An array `(H, W, C)` that is written without a word on its axes has, for tifffile, H pages: of
    three axes, the first unnamed, the smallest is taken for the channels'.
    """
    if axes == "QYX" and array.shape[2] < min(array.shape[:2]):
        axes = "YXS"
    if axes.count("Y") != 1 or axes.count("X") != 1:
        raise UnreadableImageError(f"it has the axes {axes}, and no picture of Y and X")
    array = np.moveaxis(array, (axes.index("Y"), axes.index("X")), (0, 1))
    return array.reshape(*array.shape[:2], -1)


def oriented(array, orientation):
    """An array `(H, W, C)` as its orientation, 1 to 8 of TIFF and EXIF, says that it is seen."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return array[::rows, ::columns]


def _of_dicom(contents):
    with needs_extra("dicom"):
        import pydicom
    if b"1.2.840.10008.1.2.1.99" in contents[:4096]:  # to any length
        raise UnreadableImageError("it is DICOM that is deflated as a whole")
    data = pydicom.dcmread(io.BytesIO(contents))
    frames = int(data.get("NumberOfFrames", 1) or 1)
    samples = int(data.get("SamplesPerPixel", 1))
    if frames > PAGES:
        raise UnreadableImageError(f"it has {frames} frames, of at most {PAGES}")
    check_size((frames, int(data.Rows), int(data.Columns), samples))
    array = pydicom.pixels.pixel_array(data)
    axes = ("Q" if frames > 1 else "") + "YX" + ("S" if samples > 1 else "")
    return _channels_last(array, axes)


def _of_npy(contents):
    file = io.BytesIO(contents)
    version = np.lib.format.read_magic(file)
    read = "read_array_header_1_0" if version == (1, 0) else "read_array_header_2_0"
    check_size(getattr(np.lib.format, read)(file)[0])
    return with_channels(np.load(io.BytesIO(contents), allow_pickle=False))


def _of_npz(contents):
    with zipfile.ZipFile(io.BytesIO(contents)) as archive:
        members = archive.infolist()
        if len(members) != 1 or not members[0].filename.endswith(".npy"):
            raise UnreadableImageError(
                f"it is an archive of {len(members)} files, and not of one array"
            )
        check_size((members[0].file_size // 4,))
        return _of_npy(archive.read(members[0]))


def with_channels(array):
    """`(H, W, C)` of an array of that shape, or of `(H, W)`."""
    if array.ndim not in (2, 3):
        raise UnreadableImageError(f"it is an array of shape {array.shape}, and no (H, W, C)")
    return array[..., None] if array.ndim == 2 else array


def _of_deep_png(contents):
    """A PNG of 16 bits in colour, or with transparency: Pillow would cut it to 8."""
    with needs_extra("formats"):
        import imagecodecs
    width, height = (int.from_bytes(contents[at : at + 4]) for at in (16, 20))
    check_size((height, width, 4))
    array = imagecodecs.png_decode(contents)
    return array[..., : 3 if array.shape[-1] >= 3 else 1]


def _of_deep_pnm(contents, header):
    """A PGM or PPM of more than 8 bits, whose numbers Pillow would spread over 16, or cut to 8."""
    kind, width, height = header[1], int(header[2]), int(header[3])
    if kind not in b"56":
        raise UnreadableImageError("it is a PGM or PPM of numbers in plain text")
    shape = (height, width, 1 if kind == b"5" else 3)
    check_size(shape)
    count = height * width * shape[2]
    return np.frombuffer(contents, ">u2", count, header.end()).reshape(shape)


def check_size(shape):
    """Raises an UnreadableImageError for an image of more numbers than Pillow takes pixels of.

    The limit is Pillow's, twice `PIL.Image.MAX_IMAGE_PIXELS`, of three channels.
    """
    count = int(np.prod([int(size) for size in shape], dtype=object))
    if Image.MAX_IMAGE_PIXELS and count > 6 * Image.MAX_IMAGE_PIXELS:
        raise UnreadableImageError(
            f"it is of {count} numbers, more than `PIL.Image.MAX_IMAGE_PIXELS` allows"
        )
