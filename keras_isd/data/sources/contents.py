"""Contents of image files from values of other kinds: arrays, Pillow's images, paths, entries."""

import io
import os
import stat

import numpy as np
from PIL import Image, ImageOps

from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.sources.remote import is_remote, read_remote

MAX_FILE_BYTES = 2**32  # of a file that is read whole; a sparse file takes no disk, but memory
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # which PNG stores without loss


def to_contents(value):
    """Converts an image to the contents of an image file.

    Args:
        value: bytes of an image file, which are returned unchanged; array `(H, W)` or `(H, W, C)`;
            `PIL.Image.Image`; path (str) of an image file; or dict with `"bytes"` or `"path"`, as
            Hugging Face stores images.

    Returns:
        bytes: those of an image file, or of a `.npy` file for an array.

    Raises:
        UnreadableImageError: if the value is none of these, or its file cannot be read.
    """
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, np.ndarray):
        return write_array(value)
    if isinstance(value, Image.Image):
        return _write_pillow(value)
    if isinstance(value, str):
        return read_file(value)
    kind = "missing" if value is None else f"a {type(value).__name__}"
    raise UnreadableImageError(f"it is {kind}, expected an array or the bytes of an image file")


def read_file(path):
    """Reads the contents of a file, local or remote.

    Raises:
        UnreadableImageError: if the file does not exist, permission is missing, or `check_file`
            refuses it.
    """
    try:
        if is_remote(path):
            return read_remote(path)
        check_file(path)
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UnreadableImageError(f"{error.strerror or error}") from None
    except MemoryError:
        raise UnreadableImageError("it needs more memory than there is") from None


def check_file(path):
    """Checks that a local file can be read whole: pipes never end, and devices may not.

    Raises:
        OSError: if it does not exist.
        UnreadableImageError: if it is not a regular file, or larger than `MAX_FILE_BYTES`.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImageError("it is not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise UnreadableImageError(
            f"it has {status.st_size:,} bytes, more than the {MAX_FILE_BYTES:,} of "
            "`keras_isd.data.sources.contents.MAX_FILE_BYTES`"
        )


def write_array(image):
    """The contents of a `.npy` file of an image."""
    contents = io.BytesIO()
    np.save(contents, image, allow_pickle=False)
    return contents.getvalue()


def read_array(contents):
    """The image in the contents of a `.npy` file."""
    return np.load(io.BytesIO(contents), allow_pickle=False)


def _write_pillow(image):
    image, contents = ImageOps.exif_transpose(image), io.BytesIO()
    if image.mode in PNG_MODES:
        image.save(contents, "PNG", compress_level=1)
    else:
        image.save(contents, "TIFF")
    return contents.getvalue()
