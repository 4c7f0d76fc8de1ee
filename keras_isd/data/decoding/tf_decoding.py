"""Decodes photographs with TensorFlow, within a graph and on all threads.

The settings reproduce Pillow and torchvision to the last bit; TensorFlow's defaults are 4 % faster,
but differ by up to 22 levels.
"""

import io

import numpy as np
from PIL import Image

from keras_isd.compat.quiet_tensorflow import tf

REDUCTIONS = (1, 2, 4, 8)  # the scales of JPEG's discrete cosine transform
NEEDS_PYTHON = ["needs `Decoder`"]  # message of assertions; `read_quickly` catches them


def read_quickly(row, contents_of, in_python, reduction_for=None):
    """Reads the image of a file with TensorFlow, or with Python if that fails.

    TensorFlow comes first because Python runs on one thread at a time. If Python cannot read the
    file either, the image of another row replaces it, again read with TensorFlow if possible.

    Args:
        row: scalar int64 tensor.
        contents_of: function from a row to the file's contents.
        in_python: function from a row to the row that was read (another one if the file is
            unreadable), its image and the image's size.
        reduction_for: function from a row and the image's size, (height, width), to the largest
            acceptable reduction of a JPEG's scale; None for no reduction. Defaults to None.

    Returns:
        Triple (row, image, size); `size` is the image's size before the reduction.
    """

    def quickly(row):
        contents = contents_of(row)
        size, orientation = read_header(contents)
        reduction = None if reduction_for is None else reduction_for(row, size)
        return row, decode_quickly(contents, orientation, reduction), size

    def with_python():
        read_row, *result = in_python(row)
        retry = lambda: try_or(lambda: quickly(read_row), lambda: (read_row, *result))  # noqa: E731
        return tf.cond(read_row == row, lambda: (read_row, *result), retry)

    # A single attempt for all steps, because each attempt costs half a millisecond.
    return try_or(lambda: quickly(row), with_python)


def read_header(contents):
    """Reads the size and the orientation of a JPEG or a plain PNG from its header.

    The operation fails if `Decoder` has to read the file: for a PNG of 16 bits or with an
    orientation, for an image that is too large, and for every other format.

    Args:
        contents: scalar string tensor.

    Returns:
        Pair of int32 tensors: (height, width) after applying the orientation, and the orientation,
        1 to 8 in EXIF.
    """
    size, orientation = tf.cond(
        tf.io.is_jpeg(contents), lambda: _jpeg_header(contents), lambda: _png_header(contents)
    )
    pixels = tf.reduce_prod(tf.cast(size, tf.int64))
    fits = pixels <= np.int64(2 * (Image.MAX_IMAGE_PIXELS or 2**60))
    with tf.control_dependencies([tf.debugging.Assert(fits, NEEDS_PYTHON)]):
        return tf.identity(size), orientation


def decode_quickly(contents, orientation, reduction=None):
    """Decodes a file whose header `read_header` accepts; fails if the image is incomplete.

    Args:
        contents: scalar string tensor.
        orientation: scalar int32 tensor, 1 to 8 in EXIF.
        reduction: scalar int32 tensor, the largest acceptable reduction of a JPEG's scale, which
            saves most of the time for a large photograph; None for full scale. Defaults to None.

    Returns:
        `(H, W, 3)` uint8 tensor.
    """
    if reduction is None:
        image = _decode(contents, 1)
    else:
        reached = reduction >= tf.constant(REDUCTIONS)
        which = tf.maximum(tf.reduce_sum(tf.cast(reached, tf.int32)) - 1, 0)
        which = tf.where(tf.io.is_jpeg(contents), which, 0)
        image = tf.switch_case(which, [lambda r=r: _decode(contents, r) for r in REDUCTIONS])
    image = tf.ensure_shape(image, (None, None, 3))  # animations have four axes
    return tf.cond(orientation > 1, lambda: _orient(image, orientation), lambda: image)


def _decode(contents, reduction):
    return tf.io.decode_jpeg(
        contents,
        channels=3,
        ratio=reduction,
        dct_method="INTEGER_ACCURATE",
        fancy_upscaling=True,
    )


def _jpeg_header(contents):
    """Reads a JPEG's header; fails if EXIF or XMP is in an unusual place.

    From EXIF in its usual place Python reads the orientation alone. Otherwise Python has to read
    the whole file.
    """
    is_usual = (tf.strings.substr(contents, 6, 4) == b"Exif") | (
        tf.strings.substr(contents, 24, 4) == b"Exif"  # after JFIF's segment of 18 bytes
    )
    head = tf.strings.substr(contents, 0, 2**14)
    is_elsewhere = ~is_usual & (_contains(head, "Exif") | _contains(head, ":Ori"))  # also in XMP
    with tf.control_dependencies([tf.debugging.Assert(~is_elsewhere, NEEDS_PYTHON)]):
        size = tf.io.extract_jpeg_shape(contents)[:2]
    orientation = tf.cond(is_usual, lambda: _read_orientation(contents), lambda: tf.constant(1))
    return tf.where(orientation >= 5, size[::-1], size), orientation


def _png_header(contents):
    """Reads a PNG's first chunk: width and height in bytes 16 to 23, the depth in byte 24."""
    is_plain = tf.strings.substr(contents, 0, 8) == b"\x89PNG\r\n\x1a\n"
    is_plain &= tf.strings.substr(contents, 24, 1) != b"\x10"
    is_plain &= ~_contains(contents, "eXIf") & ~_contains(contents, ":Ori")
    with tf.control_dependencies([tf.debugging.Assert(is_plain, NEEDS_PYTHON)]):
        size = tf.io.decode_raw(tf.strings.substr(contents, 16, 8), tf.int32, little_endian=False)
    return tf.ensure_shape(size[::-1], (2,)), tf.constant(1)


def _contains(contents, word):
    """Whether a word of four letters occurs in the contents."""
    data = tf.io.decode_raw(contents, tf.uint8)
    places = tf.shape(data)[0] - 3
    matches = [data[i : places + i] == ord(letter) for i, letter in enumerate(word)]
    return tf.reduce_any(matches[0] & matches[1] & matches[2] & matches[3])


def _read_orientation(contents):
    def read(contents):
        exif = Image.open(io.BytesIO(np.asarray(contents, object).item())).getexif()
        orientation = exif.get(0x0112, 1)
        return np.int32(orientation if orientation in range(1, 9) else 1)

    return tf.ensure_shape(tf.numpy_function(read, [contents], tf.int32), ())


def _orient(image, orientation):
    """Does the same as `formats.orient`, in a graph."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    for axis, values in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
        reverse = tf.reduce_any(orientation == tf.constant(values))
        image = tf.cond(reverse, lambda a=axis, x=image: tf.reverse(x, [a]), lambda x=image: x)
    return image


def try_or(make, otherwise):
    """Returns the result of `make()`, or that of `otherwise()` if an operation of `make` fails.

    A graph can catch an error only in a data set, here one of a single element.
    """
    one = tf.data.Dataset.from_tensors(0)
    attempt = one.map(lambda _: make()).ignore_errors()
    return attempt.concatenate(one.map(lambda _: otherwise())).take(1).get_single_element()
