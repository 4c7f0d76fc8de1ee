"""Photographs decoded by TensorFlow, inside a graph, on as many threads as there are.

The settings are those of Pillow and torchvision, to the last bit; TensorFlow's own are 4 % quicker
and off by up to 22 levels.
"""

import io

import numpy as np
from PIL import Image

from keras_isd.compat.quiet_tensorflow import tf

REDUCTIONS = (1, 2, 4, 8)  # JPEG's discrete cosine transform has these scales


def read_quickly(row, contents_of, in_python, reduction_for=None):
    """The image of a file by TensorFlow, by Python where that fails: `(row, image, size)`.

    Python runs on one thread at a time. Where it finds that the file cannot be read at all, the
    image is of another row that stands in, and by TensorFlow if that will do.

    Args:
        row: scalar int64 tensor.
        contents_of: function from a row to the file's contents.
        in_python: function from a row to a row, perhaps another that stands in, its image and the
            image's size.
        reduction_for: function from row and size, height and width, to the largest reduction of a
            JPEG's scale that will do, or None for none. The `size` is that before it.
    """

    def quickly(row):
        contents = contents_of(row)
        size, orientation = read_header(contents)
        reduction = None if reduction_for is None else reduction_for(row, size)
        return row, decode_quickly(contents, orientation, reduction), size

    def with_python():
        of, *found = in_python(row)
        again = lambda: or_else(lambda: quickly(of), lambda: (of, *found))  # noqa: E731
        return tf.cond(of == row, lambda: (of, *found), again)

    # All in one attempt, each of which costs half a millisecond.
    return or_else(lambda: quickly(row), with_python)


def read_header(contents):
    """Height and width, as the image is seen, and orientation, of JPEG and most PNG: int32.

    Fails where `Decoder` has to be asked: for a PNG of 16 bits, or one that may be turned, for what
    is too large, and for anything else.

    Args:
        contents: scalar string tensor.
    """
    size, orientation = tf.cond(
        tf.io.is_jpeg(contents), lambda: _jpeg_header(contents), lambda: _png_header(contents)
    )
    pixels = tf.reduce_prod(tf.cast(size, tf.int64))
    fits = pixels <= np.int64(2 * (Image.MAX_IMAGE_PIXELS or 2**60))
    with tf.control_dependencies([tf.debugging.Assert(fits, ["asks for `Decoder`"])]):
        return tf.identity(size), orientation


def decode_quickly(contents, orientation, reduction=None):
    """Decodes what `read_header` takes; fails where there is no whole image.

    Args:
        contents: scalar string tensor.
        orientation: scalar int32 tensor, 1 to 8 of EXIF.
        reduction: scalar int32 tensor, how much smaller a JPEG may be; None for not at all. Most of
            a large photograph's decoding is saved by it.

    Returns:
        `(H, W, 3)` uint8 tensor.
    """
    if reduction is None:
        image = _decoded(contents, 1)
    else:
        reached = reduction >= tf.constant(REDUCTIONS)
        which = tf.maximum(tf.reduce_sum(tf.cast(reached, tf.int32)) - 1, 0)
        which = tf.where(tf.io.is_jpeg(contents), which, 0)
        image = tf.switch_case(which, [lambda r=r: _decoded(contents, r) for r in REDUCTIONS])
    image = tf.ensure_shape(image, (None, None, 3))  # animations have four axes
    return tf.cond(orientation > 1, lambda: _turned(image, orientation), lambda: image)


def _decoded(contents, reduction):
    return tf.io.decode_jpeg(
        contents,
        channels=3,
        ratio=reduction,
        dct_method="INTEGER_ACCURATE",
        fancy_upscaling=True,
    )


def _jpeg_header(contents):
    """Of EXIF at its usual place Python reads the orientation; of what stands elsewhere, all."""
    usual = (tf.strings.substr(contents, 6, 4) == b"Exif") | (
        tf.strings.substr(contents, 24, 4) == b"Exif"  # behind JFIF's segment, of 18 bytes
    )
    head = tf.strings.substr(contents, 0, 2**14)
    elsewhere = ~usual & (_mentions(head, "Exif") | _mentions(head, ":Ori"))  # also in XMP
    with tf.control_dependencies([tf.debugging.Assert(~elsewhere, ["asks for `Decoder`"])]):
        size = tf.io.extract_jpeg_shape(contents)[:2]
    orientation = tf.cond(usual, lambda: _orientation(contents), lambda: tf.constant(1))
    return tf.where(orientation >= 5, size[::-1], size), orientation


def _png_header(contents):
    """Of the first chunk: width and height in bytes 16 to 23, the depth in byte 24."""
    plain = tf.strings.substr(contents, 0, 8) == b"\x89PNG\r\n\x1a\n"
    plain &= tf.strings.substr(contents, 24, 1) != b"\x10"
    plain &= ~_mentions(contents, "eXIf") & ~_mentions(contents, ":Ori")
    with tf.control_dependencies([tf.debugging.Assert(plain, ["asks for `Decoder`"])]):
        size = tf.io.decode_raw(tf.strings.substr(contents, 16, 8), tf.int32, little_endian=False)
    return tf.ensure_shape(size[::-1], (2,)), tf.constant(1)


def _mentions(contents, word):
    """Whether the contents have four letters anywhere."""
    data = tf.io.decode_raw(contents, tf.uint8)
    places = tf.shape(data)[0] - 3
    found = [data[i : places + i] == ord(letter) for i, letter in enumerate(word)]
    return tf.reduce_any(found[0] & found[1] & found[2] & found[3])


def _orientation(contents):
    def read(contents):
        found = Image.open(io.BytesIO(np.asarray(contents, object).item())).getexif().get(0x0112, 1)
        return np.int32(found if found in range(1, 9) else 1)

    return tf.ensure_shape(tf.numpy_function(read, [contents], tf.int32), ())


def _turned(image, orientation):
    """As `formats.oriented`, in a graph."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    for axis, values in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
        reverse = tf.reduce_any(orientation == tf.constant(values))
        image = tf.cond(reverse, lambda a=axis, x=image: tf.reverse(x, [a]), lambda x=image: x)
    return image


def or_else(make, otherwise):
    """What `make()` gives, or where an operation of it fails what `otherwise()` does.

    A data set of one element is how a graph can catch an error.
    """
    one = tf.data.Dataset.from_tensors(0)
    tried = one.map(lambda _: make()).ignore_errors()
    return tried.concatenate(one.map(lambda _: otherwise())).take(1).get_single_element()
