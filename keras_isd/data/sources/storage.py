"""How images are kept: decoded in an array, or as the contents of files, in memory or on disk.

TensorFlow is imported where tf.data asks for an image, and not before.
"""

import os
import threading
from typing import Any

import numpy as np

from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.sources.remote import is_remote, read_remote


class ArrayImages:
    """Images `(N, H, W, C)` in memory, of which any number of rows is read at a time."""

    in_memory = True

    def __init__(self, images):
        self._variable = MadeOnce(_variable, images)
        self.channels, self.dtype = images.shape[-1], str(images.dtype)

    def read(self, rows):
        from keras_isd.compat.quiet_tensorflow import tf

        return tf.gather(self._variable(), rows)

    def image(self, row):
        """The image of a row, an array."""
        return np.array(self._variable.value_of(row))  # a copy, to be changed at will

    def __reduce__(self):
        return ArrayImages, (self._variable.values(),)


class ImageFiles:
    """Contents of image files, read when they are asked for.

    Args:
        contents: function, in TensorFlow's operations, from a scalar int64 row number to them.
    """

    in_memory = False

    def __init__(self, contents):
        self.contents = contents

    def bytes_of(self, row):
        """The contents, without TensorFlow where it is not what reads them.

        Raises:
            UnreadableImageError: if the file is gone, or may not be read.
        """
        from keras_isd.compat.quiet_tensorflow import tf

        try:
            return self.contents(tf.constant(row, tf.int64)).numpy()
        except tf.errors.OpError as error:
            raise UnreadableImageError(error.message.split("} ")[-1]) from None


class FilesOnDisk(ImageFiles):
    """Image files by their paths, local or such as `gs://bucket/name`."""

    def __init__(self, paths):
        self.paths = paths
        self._tensors = MadeOnce(_joined, paths)
        super().__init__(self._read)

    def _read(self, row):
        from keras_isd.compat.quiet_tensorflow import tf

        text, ends = self._tensors()
        return tf.io.read_file(tf.strings.substr(text, ends[row], ends[row + 1] - ends[row]))

    def bytes_of(self, row):
        path = self.paths[row]
        try:
            if is_remote(path):
                return read_remote(path)
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise UnreadableImageError(f"{error.strerror or error}") from None

    def __reduce__(self):
        return FilesOnDisk, (self.paths,)


class FilesInMemory(ImageFiles):
    """Image files whose contents, a list of bytes, are in memory."""

    def __init__(self, contents):
        self._tensor = MadeOnce(_constant, contents)
        super().__init__(lambda row: self._tensor()[row])

    def bytes_of(self, row):
        return self._tensor.value_of(row)

    def __reduce__(self):
        return FilesInMemory, (self._tensor.values(),)


class FilesInRecords(ImageFiles):
    """Image files as the `"image"` of examples, which are read by their number."""

    def __init__(self, records):
        self.records = records
        super().__init__(self._read)

    def _read(self, row):
        from keras_isd.compat.quiet_tensorflow import tf

        read = tf.numpy_function(self.bytes_of, [row], tf.string)
        return tf.ensure_shape(read, ())

    def bytes_of(self, row):
        return self.records[int(row)]["image"]

    def __reduce__(self):
        return FilesInRecords, (self.records,)


class MadeOnce:
    """A tensor or variable of values, made when it is first asked for.

    The values are then let go, which would be a second copy.

    In a thread of its own: there no graph is being made, and no strategy of `tf.distribute` is in
    scope, which would put a copy on every device.
    """

    def __init__(self, make, values):
        self._make, self._values = make, values
        self._made: Any
        self._lock = threading.Lock()
        self._made = None

    def values(self):
        """The values, as they were given or as an array."""
        with self._lock:
            return self._values if self._values is not None else self._made.numpy()

    def value_of(self, row):
        """One of the values."""
        with self._lock:
            return self._values[row] if self._values is not None else self._made[row].numpy()

    def __call__(self):
        with self._lock:
            if self._made is None:
                thread = threading.Thread(target=self._run)
                thread.start()
                thread.join()
            if isinstance(self._made, Exception):
                raise self._made
            return self._made

    def _run(self):
        try:
            self._made = self._make(self._values)
            self._values = None
        except Exception as error:
            self._made = error


def stored(images):
    """Images in any of the forms that an `ImageSource` takes, as one of these classes."""
    if isinstance(images, (ArrayImages, ImageFiles)):
        return images
    return ImageFiles(images) if callable(images) else ArrayImages(images)


def row_tensor(rows):
    """Row numbers as a tensor, for graphs to read, made when it is first asked for."""
    return MadeOnce(_constant, np.asarray(rows, "int64"))


def _joined(paths):
    """Paths as one long string, and where each ends: a tensor of a string each takes twice that."""
    text, ends = bytearray(), np.zeros(len(paths) + 1, "int64")
    for row, path in enumerate(paths):
        text += os.fsencode(path)
        ends[row + 1] = len(text)
    return _variable(bytes(text)), _constant(ends)


def _constant(values):
    from keras_isd.compat.quiet_tensorflow import tf

    with tf.device("CPU"):  # where tf.data reads
        return tf.constant(values)


def _variable(images):
    from keras_isd.compat.quiet_tensorflow import tf

    # A variable's value is not copied into every graph that reads it, as a constant may be.
    with tf.device("CPU"):
        return tf.Variable(images, trainable=False)
