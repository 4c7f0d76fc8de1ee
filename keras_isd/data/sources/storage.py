"""Stores images: decoded in an array, or encoded in files, in memory or on disk.

TensorFlow is imported only when tf.data reads an image.
"""

import concurrent.futures
import itertools
import math
import os
import threading
from typing import Any

import numpy as np

from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.decoding.part_readers import find_reader, is_parts_only, open_parts
from keras_isd.data.decoding.stacks import read_whole
from keras_isd.data.decoding.windows import TiffWindows, converted_dtype
from keras_isd.data.sources.contents import check_file, read_file, to_contents, write_array
from keras_isd.data.sources.remote import is_remote

STAT_THREADS, STAT_FILES = 16, 256  # that check sizes, since a network disk answers slowly
LARGE_PIXELS = 2**26  # of a TIFF whose header is read for its channels, instead of its pixels


class ArrayImages:
    """Images `(N, H, W, C)` in memory, from which any number of rows can be read at once."""

    in_memory, has_shifts = True, False

    def __init__(self, images):
        self._variable = LazyTensor(_make_variable, images)
        self.channels, self.dtype = images.shape[-1], str(images.dtype)

    def read(self, rows):
        """Reads the images of rows, as a TensorFlow tensor."""
        from keras_isd.compat.quiet_tensorflow import tf

        return tf.gather(self._variable(), rows)

    def read_image(self, row):
        """Reads the image of a row, as an array."""
        return np.array(self._variable.value(row))  # a copy, which the caller may change

    def __reduce__(self):
        return ArrayImages, (self._variable.values(),)


class ImageFiles:
    """Contents of image files, read on demand.

    Args:
        contents: function, in TensorFlow's operations, from a scalar int64 row number to the
            contents of a file.
    """

    in_memory, has_shifts, needs_python = False, False, False

    def __init__(self, contents):
        self.contents = contents

    def read_bytes(self, row):
        """Reads the contents of a file; subclasses do so without TensorFlow.

        Raises:
            UnreadableImageError: if the file does not exist, or permission is missing.
        """
        from keras_isd.compat.quiet_tensorflow import tf

        try:
            return self.contents(tf.constant(row, tf.int64)).numpy()
        except tf.errors.OpError as error:
            raise UnreadableImageError(error.message.split("} ")[-1]) from None

    def open_parts(self, row, **options):
        """Opens a local file so that its parts can be read, see `part_readers.open_parts`.

        Raises:
            UnreadableImageError: if its parts cannot be read by themselves.
        """
        raise UnreadableImageError("its parts cannot be read by themselves")

    def large_kind(self, row):
        """Channels and data type of a file that is too large to be decoded for them, or None."""
        return None


class FilesOnDisk(ImageFiles):
    """Image files by their paths, local or such as `gs://bucket/name`."""

    def __init__(self, paths):
        self.paths = paths
        self.needs_python = any(map(is_parts_only, paths))
        self._tensors = LazyTensor(_join_paths, paths)
        super().__init__(self._read)

    def _read(self, row):
        from keras_isd.compat.quiet_tensorflow import tf

        text, ends = self._tensors()
        return tf.io.read_file(tf.strings.substr(text, ends[row], ends[row + 1] - ends[row]))

    def read_bytes(self, row):
        path = self.paths[row]
        if is_parts_only(path):
            return write_array(read_whole(open_parts(path)))
        return read_file(path)

    def open_parts(self, row, **options):
        return open_parts(self.paths[row], **options)

    def large_kind(self, row):
        path = self.paths[row]
        if not is_parts_only(path) and find_reader(path) is not TiffWindows:
            return None
        try:
            image = open_parts(path)
        except UnreadableImageError:
            return None
        if math.prod(image.sizes[0]) < LARGE_PIXELS and not is_parts_only(path):
            return None
        is_rgba8 = image.samples == image.channels == 4 and image.dtype == "uint8"
        return 3 if is_rgba8 else image.channels, converted_dtype(image.dtype)

    def __reduce__(self):
        return FilesOnDisk, (self.paths,)


class FilesInMemory(ImageFiles):
    """Image files whose contents, a list of bytes, are in memory."""

    def __init__(self, contents):
        self._tensor = LazyTensor(_make_constant, contents)
        super().__init__(lambda row: self._tensor()[row])

    def read_bytes(self, row):
        return self._tensor.value(row)

    def __reduce__(self):
        return FilesInMemory, (self._tensor.values(),)


class FilesInPython(ImageFiles):
    """Image files whose contents only Python can read: subclasses have `read_bytes`."""

    def __init__(self):
        super().__init__(self._read)

    def _read(self, row):
        from keras_isd.compat.quiet_tensorflow import tf

        contents = tf.numpy_function(self.read_bytes, [row], tf.string)
        return tf.ensure_shape(contents, ())


class FilesInRecords(FilesInPython):
    """Image files in the `"image"` field of records, which are read by their number."""

    def __init__(self, records):
        self.records = records
        super().__init__()

    def read_bytes(self, row):
        return self.records[int(row)]["image"]

    def __reduce__(self):
        return FilesInRecords, (self.records,)


class FilesByFunction(FilesInPython):
    """Images that a function reads.

    Args:
        read: function from a row (int) to an image, see `to_contents`. It must be picklable for
            other processes.

    Attributes:
        has_arrays: bool, whether the function has returned an array so far.
    """

    def __init__(self, read):
        self.read = read
        self.has_arrays = False
        super().__init__()

    def read_bytes(self, row):
        try:
            image = self.read(int(row))
            self.has_arrays |= isinstance(image, np.ndarray)
            return to_contents(image)
        except UnreadableImageError:
            raise
        # Functions and the libraries that they call raise errors of every kind.
        except Exception as error:
            reason = str(error).split("\n")[0] or type(error).__name__
            raise UnreadableImageError(reason) from error

    def __reduce__(self):
        return FilesByFunction, (self.read,)


class LazyTensor:
    """A tensor or variable that is made from its values on first use.

    It then drops the values, which would be a second copy.

    It is made in a separate thread, in which no graph is being built and no strategy of
    `tf.distribute` is active; the strategy would put a copy on every device.
    """

    def __init__(self, make, values):
        self._make, self._values = make, values
        self._tensor: Any = None
        self._lock = threading.Lock()

    def values(self):
        """Returns the values, as they were given or as an array."""
        with self._lock:
            return self._values if self._values is not None else self._tensor.numpy()

    def value(self, row):
        """Returns the value of a row."""
        with self._lock:
            return self._values[row] if self._values is not None else self._tensor[row].numpy()

    def __call__(self):
        with self._lock:
            if self._tensor is None:
                thread = threading.Thread(target=self._run)
                thread.start()
                thread.join()
            if isinstance(self._tensor, Exception):
                raise self._tensor
            return self._tensor

    def _run(self):
        try:
            self._tensor = self._make(self._values)
            self._values = None
        except Exception as error:
            self._tensor = error


def _quick_path(path):
    """The path for TensorFlow, or an empty one, so that `read_bytes` reports the reason."""
    if not is_remote(path):
        try:
            check_file(path)
        except (UnreadableImageError, OSError):
            return b""
    return os.fsencode(path)


def to_storage(images):
    """Converts the argument `images` of `ImageSource` to `ArrayImages` or `ImageFiles`."""
    if isinstance(images, (ArrayImages, ImageFiles)):
        return images
    return ImageFiles(images) if callable(images) else ArrayImages(images)


def row_tensor(rows):
    """Makes a `LazyTensor` of row numbers, which graphs read."""
    return LazyTensor(_make_constant, np.asarray(rows, "int64"))


def _join_paths(paths):
    """Joins paths to one string with end positions, half the size of a tensor of strings."""
    text, ends = bytearray(), np.zeros(len(paths) + 1, "int64")
    starts = range(0, len(paths), STAT_FILES)
    with concurrent.futures.ThreadPoolExecutor(STAT_THREADS) as checkers:
        blocks = checkers.map(lambda at: [*map(_quick_path, paths[at : at + STAT_FILES])], starts)
        for row, path in enumerate(itertools.chain.from_iterable(blocks), start=1):
            text += path
            ends[row] = len(text)
    return _make_variable(bytes(text)), _make_constant(ends)


def _make_constant(values):
    from keras_isd.compat.quiet_tensorflow import tf

    with tf.device("CPU"):  # tf.data reads on the CPU
        return tf.constant(values)


def _make_variable(images):
    from keras_isd.compat.quiet_tensorflow import tf

    # A constant may be copied into every graph that reads it; a variable's value is not.
    with tf.device("CPU"):
        return tf.Variable(images, trainable=False)
