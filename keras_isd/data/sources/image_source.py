"""The image source: images, in memory or in files, that are read in any order."""

import concurrent.futures
import itertools
import operator
import threading

import numpy as np
from absl import logging

from keras_isd.data.decoding.decoder import DTYPES, Decoder
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.groups import number_groups
from keras_isd.data.sources.storage import FilesInMemory, row_tensor, to_storage
from keras_isd.validation.images import warn_of_pixels

GIBIBYTE = 2**30


class ImageSource:
    """Images, optionally with labels, that are read by row number.

    Any row can be read at any time. So the order of an epoch is a permutation of rows that takes no
    memory, a run resumes at any step at no cost, and a subset is a list of rows. `from_arrays`,
    `from_folder`, `from_tfds` and others of `keras_isd.data` make sources. `from_function` takes
    a function of your own.

    A source is a sequence: `source[row]` is an image, a NumPy array `(H, W, C)`. Reading it needs
    no TensorFlow, so a PyTorch `DataLoader`, a Keras `PyDataset` or `grain` can read it too. A
    source can be pickled for another process.

    Args:
        images: `(N, H, W, C)` array, or a function, in TensorFlow's operations, from a scalar int64
            row number to the contents of an image file.
        labels: `(N,)` integers with -1 for unknown labels, or None. Defaults to None.
        count: int, N; needed if `labels` is None. Defaults to None.
        names: list of N str, the images' names in reports, or None. Defaults to None.
        class_names: list of str, or None. Defaults to None.
        rows: `(n,)` integers, the rows among N that this source has; None for all. Defaults to
            None.
        on_error: `"skip"` or `"raise"`, for unreadable files. In training, a skipped file is
            replaced by the source's next readable row, so that the number of steps and all other
            views stay the same; `keras_isd.evaluation` omits the row. The first three are logged,
            and `unreadable` reports all. Defaults to `"skip"`.
        decoder: `Decoder` of the files' contents; None for RGB images of 8 bits. Defaults to None.
        groups: `(N,)` integers >= 0, what the images were taken with or in, such as plates or
            patients, or None. Defaults to None.
        group_names: list of str, the names of the groups, or None. Defaults to None.

    Attributes:
        channels: int, C.
        dtype: str, the images' data type, such as `"uint8"`.
        labels: `(n,)` int32 array, or None.
        in_memory: bool, whether all images have one size and any number of rows can be read at
            once.
        names: list of n str, the images' names, such as the paths of their files, in the order of
            the rows; or None.
        class_names: list of str, or None.
        groups: `(n,)` int32 array, or None.
        group_names: list of str, or None.

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
        groups=None,
        group_names=None,
    ):
        total = count if labels is None else len(labels)
        if on_error not in ("skip", "raise"):
            raise ValueError(
                f'Argument `on_error` must be "skip" or "raise". Received: {on_error=}'
            )
        labels = None if labels is None else check_labels(labels, class_names)
        is_whole = rows is None and bool(total)
        # A range, because the rows of millions of files must not take memory.
        rows = range(total) if is_whole else check_rows(rows, total)
        self._storage = to_storage(images)
        self._whole = {"images": self._storage, "labels": labels, "count": count, "names": names}
        self._whole |= {"class_names": class_names, "on_error": on_error, "decoder": decoder}
        groups = None if groups is None else np.asarray(groups, "int32")
        self._whole |= {"groups": groups, "group_names": group_names}
        self.decoder, self.on_error = decoder or Decoder(), on_error
        kind = self._storage if self._storage.in_memory else self.decoder
        self.channels, self.dtype = kind.channels, kind.dtype
        self._rows = rows
        self._row_numbers = None if is_whole else row_tensor(rows)
        self._unreadable = UnreadableFiles()
        self.in_memory = self._storage.in_memory
        self.class_names = class_names
        self.groups = groups if groups is None or is_whole else groups[rows]
        self.group_names = group_names
        self.labels = labels if labels is None or is_whole else labels[rows]
        self.names = names if names is None or is_whole else [names[row] for row in rows]

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, row):
        return self.read_one(row)[0]

    def __reduce__(self):
        rows = None if self._row_numbers is None else self._rows
        return _rebuild, ({**self._whole, "images": self._storage, "rows": rows},)

    def read_one(self, row, shift=None):
        """Reads the image of a row without TensorFlow: pair of an array and the row that was read.

        The second differs from `row` if the file is unreadable and another row replaces it: see
        `on_error`. `shift` is that of `read_file`.
        """
        row = operator.index(row)
        if not -len(self) <= row < len(self):
            raise IndexError(
                f"Argument `row` must be in [{-len(self)}, {len(self)}), the number of images. "
                f"Received: {row=}"
            )
        row %= len(self)
        if self.in_memory:
            return self._storage.read_image(self._rows[row]), row
        return self._read_first_readable(row, shift)

    def row_name(self, row):
        """The name of a row's image, such as `row 7` if images have no names."""
        return f"row {row}" if self.names is None else self.names[row]

    def read_exactly(self, row):
        """Reads the image of a row, never another one.

        Raises:
            UnreadableImageError: if its file cannot be read.
        """
        return self._storage.read_image(self._rows[row]) if self.in_memory else self._decode(row)

    def open_parts(self, row, axes=None, is_series=False):
        """Opens the local file of a row so that its parts can be read.

        Args:
            row: int.
            axes: str, the letters of the file's axes, such as TCYX, or None for those that it
                names. Defaults to None.
            is_series: bool, whether a DICOM file stands for its series. Defaults to False.

        Returns:
            `TiffWindows`, or an object with its interface.

        Raises:
            UnreadableImageError: if its parts cannot be read by themselves.
        """
        if self.in_memory or self.decoder.decode is not None:
            raise UnreadableImageError("its parts cannot be read by themselves")
        options = {"axes": axes, "raw": self.decoder.raw, "is_series": is_series}
        return self._storage.open_parts(self._rows[row], **options)

    def read(self, rows):
        """Reads images and labels as TensorFlow tensors: `(image, *label)`.

        Args:
            rows: int64 tensor of row numbers of this source; a scalar, or of any shape if
                `in_memory` is True.
        """
        return self.read_with_rows(rows)[1:]

    def read_with_rows(self, rows):
        """Does the same as `read`, and returns the rows that were read: `(rows, image, *label)`.

        A row differs from the requested one if its file is unreadable and another row replaces it.
        """
        if self.in_memory:
            images = self._storage.read(self._to_stored_rows(rows))
        else:
            rows, images, _ = self.read_file(rows)
        return (rows, images) if self.labels is None else (rows, images, self.labels_of(rows))

    def labels_of(self, rows):
        """Returns the labels of rows, as a TensorFlow tensor."""
        from keras_isd.compat.quiet_tensorflow import tf

        return tf.gather(self.labels, rows)

    @property
    def large_images(self):
        """The `LargeImages` whose tiles are the images of this source; None for other images."""
        return self._storage.large if hasattr(self._storage, "boxes") else None

    @property
    def boxes(self):
        """The place of each tile, `(n, 6)` integers: see `keras_isd.data.sources.tiles.COLUMNS`."""
        return self._storage.boxes[np.array(self._rows)]

    @property
    def has_shifts(self):
        """Whether an image can be read at a shifted place, as tiles can."""
        return self._storage.has_shifts

    def read_file(self, row, reduction_for=None, shift=None):
        """Reads the image of a file with TensorFlow, a large one possibly at a reduced scale.

        Args:
            row: scalar int64 tensor.
            reduction_for: function from a row and the image's size, (height, width), to the largest
                acceptable reduction; None for no reduction. Defaults to None.
            shift: pair of floats in [0, 1), a tensor, that moves a tile by at most half a stride
                down and right; only if `has_shifts`. Defaults to None.

        Returns:
            Triple (row, image, size); `size` is the image's size before the reduction.
        """
        if not self.decoder.is_rgb8 or self._storage.needs_python:
            return self._read_in_python(row, shift)
        from keras_isd.data.decoding.tf_decoding import read_quickly

        reduction_for = reduction_for if self.decoder.is_large else None
        return read_quickly(row, self._contents, self._read_in_python, reduction_for)

    def _read_in_python(self, row, shift=None):
        from keras_isd.compat.quiet_tensorflow import tf

        arguments = [row] if shift is None else [row, shift]
        image, row = tf.numpy_function(self._read_first_readable, arguments, (self.dtype, tf.int64))
        image = tf.ensure_shape(image, (None, None, self.channels))
        return tf.ensure_shape(row, ()), image, tf.shape(image)[:2]

    def _contents(self, row):
        return self._storage.contents(self._to_stored_rows(row))

    def _to_stored_rows(self, rows):
        """Converts rows of this source to rows of its storage, as a TensorFlow tensor."""
        from keras_isd.compat.quiet_tensorflow import tf

        return rows if self._row_numbers is None else tf.gather(self._row_numbers(), rows)

    def _read_first_readable(self, row, shift=None):
        """Reads the image of a row, or else of the next readable one; returns image and row."""
        for candidate in itertools.chain(range(row, len(self)), range(row)):
            try:
                return self._decode(candidate, shift), np.int64(candidate)
            except UnreadableImageError as error:
                name = self.row_name(candidate)
                last = f"{name} cannot be read: {error}"
                if self.on_error == "raise":
                    raise ValueError(last) from None
                self._unreadable.add(name, str(error))
        raise ValueError(f"None of {len(self)} images can be read. The last error: {last}")

    def _decode(self, row, shift=None):
        shifts = () if shift is None else (shift,)
        return self.decoder(self._storage.read_bytes(self._rows[row], *shifts))

    def subset(self, rows):
        """Makes a source of the given rows of this one, in the given order."""
        return ImageSource(**self._whole, rows=np.array(self._rows)[check_rows(rows, len(self))])

    @property
    def is_grey(self):
        """Whether the files have a single channel, by the three that were sampled."""
        return self.decoder.is_grey

    def without_labels(self):
        """Makes a source of the same images without labels."""
        whole = {**self._whole, "images": self._storage, "labels": None, "class_names": None}
        whole["count"] = self._whole["count"] or len(self._whole["labels"])
        return ImageSource(**whole, rows=None if self._row_numbers is None else self._rows)

    def with_groups(self, groups, names=None):
        """Makes a source of the same images with groups.

        Args:
            groups: `(n,)` integers >= 0 or names (str), one for each image.
            names: list of str, names of integer groups, or None. Defaults to None.

        Returns:
            An `ImageSource`.

        Raises:
            ValueError: if the number of groups is not that of the images.
        """
        if len(groups) != len(self):
            raise ValueError(
                "Argument `groups` must have one for each image. "
                f"Received: {len(groups)} groups, {len(self)} images"
            )
        if np.asarray(groups).dtype.kind not in "iu":
            groups, names = number_groups([*map(str, groups)])
        whole = np.full(self._whole["count"] or len(self._whole["labels"]), -1, "int32")
        whole[np.array(self._rows)] = groups
        arguments = {**self._whole, "images": self._storage}
        arguments |= {"groups": whole, "group_names": names}
        rows = None if self._row_numbers is None else self._rows
        return ImageSource(**arguments, rows=rows)

    def cache(self, max_bytes=16 * GIBIBYTE):
        """Reads the contents of all files into memory, and returns a source of them.

        It helps if the disk or the network is slow. Images stay encoded, because decoded ones would
        take about ten times the memory. A source in memory is returned as it is.

        Args:
            max_bytes: int, memory in bytes that the contents may take. Defaults to 16 GiB.

        Returns:
            An `ImageSource`.

        Raises:
            ValueError: if the contents take more than `max_bytes`.
        """
        if self.in_memory:
            return self
        size, contents = 0, []
        with concurrent.futures.ThreadPoolExecutor(16) as readers:
            for content in readers.map(self._read_bytes_or_empty, range(len(self))):
                contents.append(content)
                size += len(content)
                if size > max_bytes:
                    readers.shutdown(cancel_futures=True)
                    raise ValueError(
                        "Argument `max_bytes` must be at least the files' total size. Received: "
                        f"{max_bytes=}, exceeded after {len(contents)} of {len(self)} files"
                    )
        return self._with_files(FilesInMemory(contents), self.decoder, self.names)

    def resized(self, size, folder, verbose="auto"):
        """Writes resized copies of all images to a folder once, and returns a source of them.

        It speeds up the reading of photographs much larger than the views several times, in every
        epoch. The shorter side becomes `size`; smaller images keep their size. RGB images of 8 bits
        are written as JPEG of quality 95, others as TIFF without loss. An interrupted call resumes,
        and only the copies of images that have changed are written again. Rows, names, labels and
        classes are those of this source, and an unreadable file stays unreadable.

        Args:
            size: int, pixels of the shorter side; 256 is usual for views of 224.
            folder: path of a folder that is new, empty, or a copy of the same images in this size.
            verbose: `"auto"`, 0 for no progress bar, 1, or 2 for one line at the end. Defaults to
                `"auto"`.

        Returns:
            An `ImageSource`.

        Raises:
            ValueError: if `size` is not a positive integer, or the folder has other files or a copy
                of other images.
        """
        from keras_isd.data.sources.resized_copy import write_resized

        files, decoder = write_resized(self, size, folder, verbose)
        names = self.names or [f"row {row}" for row in range(len(self))]
        return self._with_files(files, decoder, names)

    def _with_files(self, files, decoder, names):
        """Makes a source of other files of the same images."""
        return ImageSource(
            files,
            self.labels,
            len(self),
            names=names,
            class_names=self.class_names,
            on_error=self.on_error,
            decoder=decoder,
            groups=self.groups,
            group_names=self.group_names,
        )

    def _read_bytes_or_empty(self, row):
        try:
            return self._storage.read_bytes(self._rows[row])
        except UnreadableImageError:
            return b""  # reported as unreadable when it is decoded

    def dataset(self):
        """Makes a `tf.data.Dataset` of single images, in the order of the rows, for evaluation.

        Its elements are images, or pairs (image, label) if the source has labels. Unreadable files
        are omitted, and `unreadable` reports them.
        """
        from keras_isd.compat.quiet_tensorflow import tf

        rows = tf.data.Dataset.range(len(self))
        elements = rows.map(
            lambda row: (row, *self.read_with_rows(row)), num_parallel_calls=tf.data.AUTOTUNE
        )
        if not self.in_memory:
            elements = elements.filter(lambda row, read_row, *_: row == read_row)
        return elements.map(lambda row, _, image, *label: (image, *label) if label else image)

    def unreadable(self):
        """Returns the files found unreadable since the last call: list of pairs (name, reason)."""
        return self._unreadable.pop_all()


def _rebuild(arguments):
    """Builds a source from its pickled arguments."""
    return ImageSource(**arguments)


def check_rows(rows, count):
    """Checks row numbers of a source of `count` images; returns them as an int64 array."""
    rows = np.asarray(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
        raise ValueError(
            f"Argument `rows` must be a list of at least one integer. Received: rows={rows}"
        )
    if rows.min() < 0 or rows.max() >= count:
        raise ValueError(
            f"Argument `rows` must lie in [0, {count}). "
            f"Received: rows from {rows.min()} to {rows.max()}"
        )
    return rows.astype("int64")


def check_labels(labels, class_names):
    """Checks the labels of a source; returns them as an int32 array."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            "Argument `labels` must be integers of shape (images,). "
            f"Received: labels of shape {labels.shape}, {labels.dtype}"
        )
    limit = np.inf if class_names is None else len(class_names)
    invalid = np.flatnonzero((labels < -1) | (labels >= limit))
    if len(invalid):
        raise ValueError(
            f"Argument `labels` must lie in [-1, {limit}), with -1 for unknown labels. "
            f"Received: label {labels[invalid[0]]} of row {invalid[0]}"
        )
    return labels.astype("int32")


class UnreadableFiles:
    """Names of unreadable files with reasons, collected from all threads; logs the first three."""

    def __init__(self):
        self._lock = threading.Lock()
        self._reasons = {}
        self._logged = 0

    def add(self, name, reason):
        """Adds a file; logs it if it is new and among the first three."""
        with self._lock:
            if name not in self._reasons and self._logged < 3:
                self._logged += 1
                more = " (ReportUnreadable counts all of them)" if self._logged == 3 else ""
                logging.warning(
                    "%s cannot be read: %s. In training another image replaces it, in evaluation "
                    "it is omitted%s",
                    name,
                    reason,
                    more,
                )
            self._reasons[name] = reason

    def pop_all(self):
        """Returns the files added since the last call: list of pairs (name, reason)."""
        with self._lock:
            reasons, self._reasons = self._reasons, {}
        return list(reasons.items())


def from_arrays(images, labels=None, class_names=None, channels=None):
    """Makes a source from an array of images.

    Args:
        images: `(N, H, W, C)` or `(N, H, W)` array of uint8, uint16, int16, uint32, int32 or
            float32. A single channel is repeated to three, unless `channels` is 1. A pipeline
            copies the array when it reads the first image; do not change it before.
        labels: `(N,)` integers with -1 for unknown labels, or None. Defaults to None.
        class_names: list of str, or None. Defaults to None.
        channels: int, must be C if given; 1 keeps a single channel. Defaults to None.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: if shape, dtype, labels or channels are not as described.

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
            "Argument `images` must have shape (images, height, width, channels) and one of the "
            f"types {', '.join(DTYPES)}. "
            f"Received: images of shape {images.shape}, {images.dtype}"
        )
    if channels not in (None, images.shape[-1]):
        raise ValueError(
            "Argument `channels` must match the images' channels. "
            f"Received: {channels=}, images of shape {images.shape}"
        )
    if labels is not None and len(labels) != len(images):
        raise ValueError(
            "Arguments `images` and `labels` must have the same length. "
            f"Received: {len(images)} images, {len(labels)} labels"
        )
    if images.shape[-1] == 1 and channels is None:
        images = np.repeat(images, 3, axis=-1)
    if images.dtype == "uint8":  # other types have the value range of their views
        warn_of_pixels(images)
    return ImageSource(images, labels, len(images), class_names=class_names)
