"""Images that can be read in any order."""

import concurrent.futures
import itertools
import operator
import threading

import numpy as np
from absl import logging

from keras_isd.data.decoding.decoder import DTYPES, Decoder
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.sources.storage import FilesInMemory, row_tensor, stored
from keras_isd.validation.images import warn_of_pixels

GIBIBYTE = 2**30


class ImageSource:
    """Images, and perhaps labels, by row number.

    Since any row can be read at any time, an epoch's order is a permutation of rows that takes no
    memory, a run resumes anywhere at no cost, and a subset is a list of rows. Made by
    `from_arrays`, `from_folder` and `from_tfds` of `keras_isd.data`.

    It is a sequence: `source[row]` is an image, a NumPy array `(H, W, C)`, which takes no
    TensorFlow, so that a PyTorch `DataLoader`, a Keras `PyDataset` or `grain` may read it too. A
    copy of it may go to another process.

    Args:
        images: `(N, H, W, C)` array, or a function, in TensorFlow's operations, from a scalar int64
            row number to the contents of an image file.
        labels: `(N,)` integers, -1 where unknown, or None.
        count: int, N, where there are no labels.
        names: list of N str, what reports call the images, or None.
        class_names: list of str, or None.
        rows: `(n,)` integers, which of the N rows this source has; all by default.
        on_error: `"skip"` or `"raise"`, for files that cannot be read. Where one is skipped in
            training the source's next readable row stands in, so that the number of steps and all
            other views stay as they are; in `keras_isd.evaluation` the row is left out. The first
            three are logged, `unreadable` tells of all.
        decoder: what makes an image of the contents of a file; by default an RGB one of 8 bits.

    Attributes:
        channels: int, C.
        dtype: str, of the images' numbers, such as `"uint8"`.
        labels: `(n,)` int32 or None.
        in_memory: bool, whether all images are of one size and any number of rows can be read at
            a time.
        names: list of str, what the images are called, such as the paths of their files, in the
            order of the rows; or None.
        class_names: see above.

    Raises:
        ValueError: if a label or a row is out of range.

    Example:

    >>> images = np.zeros((6, 8, 8, 3), "uint8")
    >>> source = keras_isd.data.from_arrays(images, labels=[0, 1, 2, 0, 1, 2])
    >>> part = source.subset(keras_isd.data.of_classes(source.labels, [0, 2]))
    >>> len(part), part.labels
    (4, array([0, 2, 0, 2], dtype=int32))
    """

    def __init__(
        self,
        images,
        labels=None,
        count=None,
        names=None,
        class_names=None,
        rows=None,
        on_error="skip",
        decoder=None,
    ):
        total = count if labels is None else len(labels)
        if on_error not in ("skip", "raise"):
            raise ValueError(
                f'Argument `on_error` must be "skip" or "raise". Received: {on_error=}'
            )
        labels = None if labels is None else check_labels(labels, class_names)
        is_whole = rows is None and bool(total)
        # Of millions of files the rows of all are to take no memory.
        rows = range(total) if is_whole else check_rows(rows, total)
        self._stored = stored(images)
        self._whole = {"images": self._stored, "labels": labels, "count": count, "names": names}
        self._whole |= {"class_names": class_names, "on_error": on_error, "decoder": decoder}
        self._decoder = decoder or Decoder()
        kind = self._stored if self._stored.in_memory else self._decoder
        self.channels, self.dtype = kind.channels, kind.dtype
        self._rows = rows
        self._row_numbers = None if is_whole else row_tensor(rows)
        self._unreadable = UnreadableFiles()
        self.in_memory = self._stored.in_memory
        self.class_names = class_names
        self.labels = labels if labels is None or is_whole else labels[rows]
        self.names = names if names is None or is_whole else [names[row] for row in rows]

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, row):
        return self.read_one(row)[0]

    def __reduce__(self):
        rows = None if self._row_numbers is None else self._rows
        return _made_again, ({**self._whole, "images": self._stored, "rows": rows},)

    def read_one(self, row):
        """The image of a row as an array, and the row that it is of: without TensorFlow.

        It is the row asked for, but where a file cannot be read: there the row that stands in, or
        an error; see `on_error`.
        """
        row = operator.index(row)
        if not -len(self) <= row < len(self):
            raise IndexError(f"There are {len(self)} images. Received: row {row}")
        row %= len(self)
        if self.in_memory:
            return self._stored.image(self._rows[row]), row
        return self._first_readable(row)

    def read(self, rows):
        """Images of rows, and labels: `(image, *label)` of TensorFlow tensors.

        Args:
            rows: int64 tensor of row numbers of this source; a scalar, or if `in_memory` of any
                shape.
        """
        return self.read_with_rows(rows)[1:]

    def read_with_rows(self, rows):
        """As `read`, after the rows that the images and labels are of: `(rows, image, *label)`.

        They are the rows asked for, but where a file cannot be read: there the row that stands in.
        """
        if self.in_memory:
            images = self._stored.read(self._stored_rows(rows))
        else:
            rows, images, _ = self.read_file(rows)
        return (rows, images) if self.labels is None else (rows, images, self.labels_of(rows))

    def labels_of(self, rows):
        """The labels of rows, as a TensorFlow tensor."""
        from keras_isd.compat.quiet_tensorflow import tf

        return tf.gather(self.labels, rows)

    def read_file(self, row, reduction_for=None):
        """The image of a file, if it is large perhaps at a reduced scale: `(row, image, size)`.

        Args:
            row: scalar int64 tensor.
            reduction_for: function from row and size, height and width, to the largest reduction
                that will do, or None for none. The `size` is that before it.
        """
        if not self._decoder.is_of_photographs:
            return self._read_in_python(row)
        from keras_isd.data.decoding.tf_decoding import read_quickly

        reduction_for = reduction_for if self._decoder.is_large else None
        return read_quickly(row, self._contents, self._read_in_python, reduction_for)

    def _read_in_python(self, row):
        from keras_isd.compat.quiet_tensorflow import tf

        image, row = tf.numpy_function(self._first_readable, [row], (self.dtype, tf.int64))
        image = tf.ensure_shape(image, (None, None, self.channels))
        return tf.ensure_shape(row, ()), image, tf.shape(image)[:2]

    def _contents(self, row):
        return self._stored.contents(self._stored_rows(row))

    def _stored_rows(self, rows):
        """The rows that some of this source have among all, as a TensorFlow tensor."""
        from keras_isd.compat.quiet_tensorflow import tf

        return rows if self._row_numbers is None else tf.gather(self._row_numbers(), rows)

    def _first_readable(self, row):
        """The image of a row, or of the next that can be read, and the row that it is of."""
        for candidate in itertools.chain(range(row, len(self)), range(row)):
            try:
                return self._decoded(candidate), np.int64(candidate)
            except UnreadableImageError as error:
                name = f"row {candidate}" if self.names is None else self.names[candidate]
                last = f"{name} cannot be read: {error}"
                if self._whole["on_error"] == "raise":
                    raise ValueError(last) from None
                self._unreadable.add(name, str(error))
        raise ValueError(f"None of {len(self)} images can be read. The last: {last}")

    def _decoded(self, row):
        return self._decoder(self._stored.bytes_of(self._rows[row]))

    def subset(self, rows):
        """The source of these rows of this one, in this order."""
        return ImageSource(**self._whole, rows=np.array(self._rows)[check_rows(rows, len(self))])

    def cache(self, max_bytes=16 * GIBIBYTE):
        """This source with the contents of its files in memory, all read now.

        For a slow disk or network. Images stay encoded: decoded they would take about ten times
        the memory. A source that is in memory is given back as it is.

        Args:
            max_bytes: int, memory that the contents may take.

        Returns:
            An `ImageSource`.

        Raises:
            ValueError: if they take more.
        """
        if self.in_memory:
            return self
        size, contents = 0, []
        with concurrent.futures.ThreadPoolExecutor(16) as readers:
            for content in readers.map(self._contents_or_nothing, range(len(self))):
                contents.append(content)
                size += len(content)
                if size > max_bytes:
                    readers.shutdown(cancel_futures=True)
                    raise ValueError(
                        "Argument `max_bytes` must be at least what the files take. Received: "
                        f"{max_bytes=}, reached after {len(contents)} of {len(self)} files"
                    )
        return self._of_files(FilesInMemory(contents), self._decoder, self.names)

    def resized(self, size, folder, verbose="auto"):
        """This source with smaller copies of its images, written into a folder once.

        For photographs much larger than the views, which are then read several times as quickly in
        every epoch. The shorter side becomes `size`; smaller images stay as they are. Photographs
        of 8 bits are written as JPEG of quality 95, others as TIFF without loss. Where it was
        stopped it goes on, and nothing is written twice. Rows, names, labels and classes stay those
        of this source; a file that cannot be read is one that cannot be read there too.

        Args:
            size: int, pixels of the shorter side; 256 is usual for views of 224.
            folder: path, of a folder that is new, empty, or of the same images and size.
            verbose: `"auto"`, 0 for no progress bar, 1, or 2 for one line at the end.

        Returns:
            An `ImageSource`.

        Raises:
            ValueError: if `size` is not a positive integer, or the folder is of other images, or
                has other files in it.
        """
        from keras_isd.data.sources.resized_copy import write_resized

        files, decoder = write_resized(self, size, folder, verbose)
        names = self.names or [f"row {row}" for row in range(len(self))]
        return self._of_files(files, decoder, names)

    def _of_files(self, files, decoder, names):
        """A source of other files of the same images."""
        return ImageSource(
            files,
            self.labels,
            len(self),
            names=names,
            class_names=self.class_names,
            on_error=self._whole["on_error"],
            decoder=decoder,
        )

    def _contents_or_nothing(self, row):
        try:
            return self._stored.bytes_of(self._rows[row])
        except UnreadableImageError:
            return b""  # which is reported when its turn comes

    def dataset(self):
        """All images in the order of their rows, with labels if there are any, as a
        `tf.data.Dataset` of single images: for evaluation.

        A file that cannot be read is left out; `unreadable` then names it.
        """
        from keras_isd.compat.quiet_tensorflow import tf

        rows = tf.data.Dataset.range(len(self))
        read = rows.map(
            lambda row: (row, *self.read_with_rows(row)), num_parallel_calls=tf.data.AUTOTUNE
        )
        if not self.in_memory:
            read = read.filter(lambda row, of, *_: row == of)
        return read.map(lambda row, of, image, *label: (image, *label) if label else image)

    def unreadable(self):
        """What could not be read since this was last asked: list of pairs (name, reason)."""
        return self._unreadable.taken()


def _made_again(arguments):
    """A source that was taken to another process."""
    return ImageSource(**arguments)


def check_rows(rows, count):
    """Row numbers of a source of `count` images, as an array of int64."""
    rows = np.asarray(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
        raise ValueError(
            f"Argument `rows` must be a list of at least one row number. Received: rows={rows}"
        )
    if rows.min() < 0 or rows.max() >= count:
        raise ValueError(
            f"Argument `rows` must lie in [0, {count}). "
            f"Received: rows from {rows.min()} to {rows.max()}"
        )
    return rows.astype("int64")


def check_labels(labels, class_names):
    """Labels as an array of int32."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            "Argument `labels` must be integers of shape (images,). "
            f"Received: labels of shape {labels.shape}, {labels.dtype}"
        )
    limit = np.inf if class_names is None else len(class_names)
    wrong = np.flatnonzero((labels < -1) | (labels >= limit))
    if len(wrong):
        raise ValueError(
            f"Argument `labels` must lie in [-1, {limit}), -1 where unknown. "
            f"Received: label {labels[wrong[0]]} of row {wrong[0]}"
        )
    return labels.astype("int32")


class UnreadableFiles:
    """Names and reasons; the first three are logged at once. Threads may add to it."""

    def __init__(self):
        self._lock = threading.Lock()
        self._found = {}
        self._logged = 0

    def add(self, name, reason):
        """Remembers a file, once."""
        with self._lock:
            if name not in self._found and self._logged < 3:
                self._logged += 1
                more = " (ReportUnreadable counts them all)" if self._logged == 3 else ""
                logging.warning(
                    "%s cannot be read: %s. In training another image stands in, in evaluation it "
                    "is left out%s",
                    name,
                    reason,
                    more,
                )
            self._found[name] = reason

    def taken(self):
        """What was added since this was last asked: list of pairs (name, reason)."""
        with self._lock:
            found, self._found = self._found, {}
        return list(found.items())


def from_arrays(images, labels=None, class_names=None, channels=None):
    """Makes a source of images that lie in an array.

    Args:
        images: `(N, H, W, C)` or `(N, H, W)` of uint8, uint16, int16, uint32, int32 or float32. One
            channel becomes three equal ones, unless `channels` is 1. They are copied when the first
            is read in a pipeline, and must stay as they are until then.
        labels: `(N,)` integers, -1 where unknown, or None.
        class_names: list of str, or None.
        channels: 1 for images of one channel that stay so, or None.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: if shapes, dtype or labels are not as above.

    Example:

    >>> len(keras_isd.data.from_arrays(np.zeros((6, 8, 8), "uint8")))
    6
    """
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype == "float64":
        images = images.astype("float32")
    if images.ndim != 4 or str(images.dtype) not in DTYPES:
        raise ValueError(
            "Argument `images` must be of shape (images, height, width, channels) and "
            f"{', '.join(DTYPES)}. Received: images of shape {images.shape}, {images.dtype}"
        )
    if channels not in (None, images.shape[-1]):
        raise ValueError(
            f"Argument `channels` must be what images have. Received: {channels=}, images of "
            f"shape {images.shape}"
        )
    if labels is not None and len(labels) != len(images):
        raise ValueError(
            "Arguments `images` and `labels` must be as many. "
            f"Received: {len(images)} images, {len(labels)} labels"
        )
    if images.shape[-1] == 1 and channels is None:
        images = np.repeat(images, 3, axis=-1)
    if images.dtype == "uint8":  # of others the views say what range is right
        warn_of_pixels(images)
    return ImageSource(images, labels, len(images), class_names=class_names)
