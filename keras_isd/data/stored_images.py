"""How images are kept: decoded in an array, or as the contents of files, in memory or on disk.

TensorFlow is imported where tf.data asks for an image, and not before.
"""

import threading

import numpy as np


class ArrayImages:
    """Images `(N, H, W, 3)` uint8 in memory, of which any number of rows is read at a time."""

    in_memory = True

    def __init__(self, images):
        self._variable = MadeOnce(_variable, images)

    def read(self, rows):
        from keras_isd.quiet_tensorflow import tf

        return tf.gather(self._variable(), rows)


class ImageFiles:
    """Contents of image files, read when they are asked for.

    Args:
        contents: function, in TensorFlow's operations, from a scalar int64 row number to them.
    """

    in_memory = False

    def __init__(self, contents):
        self.contents = contents


class FilesOnDisk(ImageFiles):
    """Image files by their paths."""

    def __init__(self, paths):
        self._paths = MadeOnce(_constant, paths)
        super().__init__(self._read)

    def _read(self, row):
        from keras_isd.quiet_tensorflow import tf

        return tf.io.read_file(self._paths()[row])


class FilesInMemory(ImageFiles):
    """Image files whose contents, a list of bytes, are in memory."""

    def __init__(self, contents):
        contents = MadeOnce(_constant, contents)
        super().__init__(lambda row: contents()[row])


class MadeOnce:
    """A tensor or variable of values, made when it is first asked for; the values are then let go.

    In a thread of its own: there no graph is being made, and no strategy of `tf.distribute` is in
    scope, which would put a copy on every device.
    """

    def __init__(self, make, values):
        self._make, self._values = make, values
        self._lock = threading.Lock()
        self._made = None

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
            self._values = None  # which would be a second copy
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


def _constant(values):
    from keras_isd.quiet_tensorflow import tf

    with tf.device("CPU"):  # where tf.data reads
        return tf.constant(values)


def _variable(images):
    from keras_isd.quiet_tensorflow import tf

    # A variable's value is not copied into every graph that reads it, as a constant would be.
    with tf.device("CPU"):
        return tf.Variable(images, trainable=False)
