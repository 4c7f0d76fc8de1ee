"""Image files of any kind to RGB."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

_JPEG = b"\xff\xd8\xff"


class UnreadableImageError(ValueError):
    """The contents of a file are no image, or not the whole of one."""


def decode_image(contents):
    """Decodes the contents of an image file, whatever its name says that it is.

    JPEG goes through TensorFlow, which is quick; CMYK JPEG (whose colours TensorFlow takes for
    what they are not), PNG, GIF, BMP, WebP and the rest through Pillow. Palettes are resolved, 16
    bits become 8, transparency is dropped, of an animation the first picture is taken.

    Args:
        contents: bytes.

    Returns:
        `(H, W, 3)` uint8 tensor or array.

    Raises:
        UnreadableImageError: if there is nothing, or no whole image, in it.

    Example:

    >>> from PIL import Image
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("L", (3, 2), 7).save(file, "PNG")
    >>> keras_isd.data.decoding.decode_image(file.getvalue())[0, 0].tolist()
    [7, 7, 7]
    """
    if not contents:
        raise UnreadableImageError("the file is empty")
    if contents.startswith(_JPEG):
        try:
            if int(tf.io.extract_jpeg_shape(contents)[2]) != 4:
                return tf.io.decode_jpeg(contents, channels=3)
        except tf.errors.InvalidArgumentError as error:
            raise UnreadableImageError(f"bad JPEG data ({_first_line(error.message)})") from None
    return _decode_by_pillow(contents)


def _decode_by_pillow(contents):
    try:
        image = Image.open(io.BytesIO(contents))
        image.load()
    # Pillow raises these and more, by format, where data is cut off or makes no sense.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(_first_line(str(error))) from None
    if image.mode.startswith("I"):  # 16 bits a pixel, in one of three forms
        image = Image.fromarray((np.asarray(image).astype("uint32") >> 8).astype("uint8"))
    return np.asarray(image.convert("RGB"))


def _first_line(text):
    return text.split("\n")[0]
