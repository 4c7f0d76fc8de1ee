"""How images are kept: decoded in an array, or as the contents of files, in memory or on disk.

TensorFlow is imported where tf.data asks for an image, and not before.
"""

import functools

import numpy as np


class ArrayImages:
    """Images `(N, H, W, 3)` uint8 in memory, of which any number of rows is read at a time."""

    in_memory = True

    def __init__(self, images):
        self._images = images

    @functools.cached_property
    def _variable(self):
        import tensorflow as tf

        # A variable's value is not copied into every graph that reads it, as a constant would be.
        with tf.init_scope(), tf.device("CPU"):  # where tf.data reads
            variable = tf.Variable(self._images, trainable=False)
        self._images = None  # which would be a second copy
        return variable

    def read(self, rows):
        import tensorflow as tf

        return tf.gather(self._variable, rows)


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
        self._paths = paths
        super().__init__(self._read)

    @functools.cached_property
    def _path_tensor(self):
        return _on_cpu(self._paths)

    def _read(self, row):
        import tensorflow as tf

        return tf.io.read_file(self._path_tensor[row])


class FilesInMemory(ImageFiles):
    """Image files whose contents, a list of bytes, are in memory."""

    def __init__(self, contents):
        self._contents = contents
        super().__init__(lambda row: self._tensor[row])

    @functools.cached_property
    def _tensor(self):
        tensor = _on_cpu(self._contents)
        self._contents = None  # which would be a second copy
        return tensor


def stored(images):
    """Images in any of the forms that an `ImageSource` takes, as one of these classes."""
    if isinstance(images, (ArrayImages, ImageFiles)):
        return images
    return ImageFiles(images) if callable(images) else ArrayImages(images)


def row_tensor(rows):
    """Row numbers as a tensor, for graphs to read."""
    return _on_cpu(np.asarray(rows, "int64"))


def _on_cpu(values):
    import tensorflow as tf

    with tf.init_scope(), tf.device("CPU"):  # where tf.data reads
        return tf.constant(values)
