"""Reads image files of many formats, each with the format's own library.

The first bytes of a file determine its format, whatever its name. Files are untrusted data: nothing
is executed or unpickled, and no file may take more memory than a large image.
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
from keras_isd.data.decoding.missing_pixels import fill_missing, read_nodata

# Only formats that hold pixels: EPS, for example, is a program. "JPEG" includes MPO.
PILLOW_FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000"),
    *("PCX", "PNG", "PPM", "SGI", "TGA", "TIFF", "WEBP"),
)
# The endings of all formats that are decoded from their contents: photographs, TIFF of instruments,
# arrays and volumes.
EXTENSIONS = (
    *(".avif", ".bmp", ".dib", ".gif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".mpo", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".sgi", ".tga", ".webp"),
    *(".btf", ".lsm", ".qptiff", ".stk", ".svs", ".tif", ".tiff"),
    *(".dcm", ".h5", ".hdf5", ".nii", ".nii.gz", ".npy", ".npz"),
)
DEEP_PNG = (b"\x10\2", b"\x10\4", b"\x10\6")  # 16 bits, in colour or with transparency
WHITE_IS_ZERO, PALETTE = 0, 3  # codes of TIFF's colours
# White as 0, palettes, CMYK and three CIELAB encodings, which tifffile does not convert.
OTHER_COLORS = (WHITE_IS_ZERO, PALETTE, 5, 8, 9, 10)
_GAP = rb"(?:\s|#[^\n]{0,999}\n){1,99}"
PNM = re.compile(
    rb"P([2356])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,6})\s"
)
MAX_PAGES = 1_000  # of a TIFF, or frames
MAX_SCANS = 100  # of a JPEG; progressive ones have about ten, and each takes the time of an image
RAW_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow's modes of more than 8 bits


class UnreadableImageError(ValueError):
    """Raised if the contents of a file are not a complete image."""


def read_image(contents):
    """Reads the image in a file.

    Args:
        contents: bytes.

    Returns:
        For images of 8 bits that Pillow reads, a `PIL.Image.Image` of mode L, RGB or RGBA. For
        others, an array `(H, W, C)` of the stored values, whose last axis holds bands, samples,
        pages or frames. If the pages of a TIFF differ in size, it holds the largest ones.

    Raises:
        UnreadableImageError: if the file is empty, incomplete, no image, or too large.
    """
    if not contents:
        raise UnreadableImageError("the file is empty")
    if is_tiff(contents):
        return _read_tiff(contents)
    if contents[:6] == b"\x93NUMPY":
        return _read_npy(io.BytesIO(contents))
    if contents[:4] == b"PK\x03\x04":
        return _read_npz(contents)
    if contents[:8] == b"\x89PNG\r\n\x1a\n" and contents[24:26] in DEEP_PNG:
        return _read_deep_png(contents)
    if (header := PNM.match(contents)) and int(header[4]) > 255:
        return _read_deep_pnm(contents, header)
    return _read_with_pillow(contents)


def is_tiff(contents):
    """Whether a file that begins with these bytes is a TIFF or a BigTIFF."""
    return contents[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _read_with_pillow(contents):
    if contents[:3] == b"\xff\xd8\xff" and contents.count(b"\xff\xda") > MAX_SCANS:
        raise UnreadableImageError(f"it is a JPEG of more than {MAX_SCANS} scans")
    try:
        file = Image.open(io.BytesIO(contents), formats=PILLOW_FORMATS)
    except UnidentifiedImageError:
        raise UnreadableImageError("it is no image of a known format") from None
    file.load()
    image = ImageOps.exif_transpose(file)
    if image.mode in RAW_MODES:
        return np.asarray(image)[..., None]
    return image.convert(_choose_mode(image))


def _choose_mode(image):
    """Chooses the mode of 8 bits that loses nothing."""
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return "RGBA"
    return "L" if image.mode in ("1", "L") else "RGB"


def _read_tiff(contents):
    import tifffile

    # Other files of an OME-TIFF set are not there, and tifffile would replace their pages by zeros.
    with (
        suppress_logs("tifffile"),
        tifffile.TiffFile(io.BytesIO(contents), _multifile=False) as file,
    ):
        if len(file.pages) > MAX_PAGES:
            raise UnreadableImageError(f"it has {len(file.pages)} pages, expected <= {MAX_PAGES}")
        series = main_series(file)
        page = series.keyframe
        check_size(series.shape, series.dtype)
        # Pillow has its own codecs, and preserves 8-bit images and 16-bit grey ones.
        is_plain = len(file.pages) == 1 and page.samplesperpixel <= 4
        is_plain = is_plain and (page.samplesperpixel == 1 or page.bitspersample == 8)
        is_plain = is_plain and "GDAL_NODATA" not in page.tags
        if is_plain and page.photometric in OTHER_COLORS and page.bitspersample <= 8:
            return _read_with_pillow(contents)
        if page.compression > 1:
            try:
                import imagecodecs  # noqa: F401 - tifffile's own decoders do not limit memory
            except ModuleNotFoundError:
                if is_plain:
                    return _read_with_pillow(contents)
                with needs_extra("formats"):
                    raise
        array = series.asarray()
        if array.shape != series.shape:
            raise UnreadableImageError(
                f"it is truncated: shape {array.shape}, expected {series.shape}"
            )
        array = _convert_colors(channels_last(array, series.axes), series)
        nodata = read_nodata(page.tags.get("GDAL_NODATA"))
        if nodata is not None:
            array = fill_missing(array, nodata)
        orientation = page.tags.get("Orientation")
        array = orient(array, 1 if orientation is None else int(orientation.value))
        if (
            array.dtype == "uint8"
            and array.shape[-1] == 4
            and page.extrasamples[:1] in ((1,), (2,))
        ):
            return Image.fromarray(np.ascontiguousarray(array))  # colours with transparency
        return array


def main_series(file):
    """The series of the largest images in a `tifffile.TiffFile`, not that of a thumbnail."""
    frames = [series.keyframe for series in file.series]
    sizes = [frame.imagelength * frame.imagewidth for frame in frames]
    return file.series[sizes.index(max(sizes))]


def _convert_colors(array, series):
    """Inverts pixels `(H, W, C)` whose 0 is white, and replaces indices of palettes by colours."""
    page = series.keyframe
    if page.photometric == WHITE_IS_ZERO and array.dtype.kind in "bu":
        return ~array if array.dtype == bool else (2**page.bitspersample - 1) - array
    if page.photometric != PALETTE or page.colormap is None:
        return array
    # Pages that only follow the first one, as ImageJ writes them, have its palette.
    pages = [one.aspage() if one and one.offset else page for one in series.pages]
    palettes = [one.colormap for one in pages]
    palettes += palettes[-1:] * (array.shape[-1] - len(palettes))
    planes = zip(np.moveaxis(array, -1, 0), palettes)
    colors = [np.moveaxis(palette[:, plane], 0, -1) for plane, palette in planes]
    return (np.concatenate(colors, axis=-1) >> 8).astype("uint8")


@contextlib.contextmanager
def suppress_logs(name):
    """Context that suppresses a logger in this thread: errors already report the problem."""
    thread = threading.get_ident()
    logger, is_other_thread = logging.getLogger(name), lambda record: record.thread != thread
    logger.addFilter(is_other_thread)
    try:
        yield
    finally:
        logger.removeFilter(is_other_thread)


def channels_last(array, axes):
    """Reshapes an array with tifffile's axes to `(H, W, C)`; all axes but Y and X become channels.

    tifffile reads an array `(H, W, C)` that was written without axis names as H pages. So if the
    first of three axes is unnamed and the last is the smallest, the last axis holds the channels.
    """
    if axes == "QYX" and array.shape[2] < min(array.shape[:2]):
        axes = "YXS"
    if axes.count("Y") != 1 or axes.count("X") != 1:
        raise UnreadableImageError(f"it has the axes {axes}, expected one Y and one X")
    array = np.moveaxis(array, (axes.index("Y"), axes.index("X")), (0, 1))
    return array.reshape(*array.shape[:2], -1)


def orient(array, orientation):
    """Flips and transposes an array `(H, W, C)` by its orientation, 1 to 8 in TIFF and EXIF."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return array[::rows, ::columns]


def _read_npy(file):
    version = np.lib.format.read_magic(file)
    read = "read_array_header_1_0" if version == (1, 0) else "read_array_header_2_0"
    shape, _, dtype = getattr(np.lib.format, read)(file)
    check_size(shape, dtype)
    file.seek(0)
    return add_channel_axis(np.lib.format.read_array(file, allow_pickle=False))


def _read_npz(contents):
    with zipfile.ZipFile(io.BytesIO(contents)) as archive:
        members = archive.infolist()
        if len(members) != 1 or not members[0].filename.endswith(".npy"):
            raise UnreadableImageError(
                f"it is an archive of {len(members)} files, expected one array"
            )
        with archive.open(members[0]) as file:  # read into the array, without a copy of the bytes
            return _read_npy(file)


def add_channel_axis(array):
    """Adds a channel axis to an array `(H, W)`; returns an array `(H, W, C)` unchanged."""
    if array.ndim not in (2, 3):
        raise UnreadableImageError(
            f"it is an array of shape {array.shape}, expected (H, W) or (H, W, C)"
        )
    return array[..., None] if array.ndim == 2 else array


def _read_deep_png(contents):
    """Reads a PNG of 16 bits in colour, or with transparency, which Pillow would reduce to 8."""
    with needs_extra("formats"):
        import imagecodecs
    width, height = (int.from_bytes(contents[at : at + 4]) for at in (16, 20))
    check_size((height, width, 4), "uint16")
    array = imagecodecs.png_decode(contents)
    return array[..., : 3 if array.shape[-1] >= 3 else 1]


def _read_deep_pnm(contents, header):
    """Reads a PGM or PPM of more than 8 bits, which Pillow would rescale to 16 or reduce to 8."""
    kind, width, height = header[1], int(header[2]), int(header[3])
    if kind not in b"56":
        raise UnreadableImageError("it is a PGM or PPM with numbers in plain text")
    shape = (height, width, 1 if kind == b"5" else 3)
    check_size(shape, "uint16")
    count = height * width * shape[2]
    return np.frombuffer(contents, ">u2", count, header.end()).reshape(shape)


def check_size(shape, dtype="uint8"):
    """Raises an UnreadableImageError if an image has too many numbers, or takes too many bytes.

    The limit is that of Pillow, twice `PIL.Image.MAX_IMAGE_PIXELS`, for three channels of at most
    16 bits.
    """
    dtype = np.dtype(dtype)
    count = int(np.prod([int(size) for size in shape], dtype=object))
    numbers = count * max(1.0, dtype.itemsize / 2)
    if Image.MAX_IMAGE_PIXELS and numbers > 6 * Image.MAX_IMAGE_PIXELS:
        raise UnreadableImageError(
            f"it has {count} numbers ({dtype}), more than `PIL.Image.MAX_IMAGE_PIXELS` allows"
        )
