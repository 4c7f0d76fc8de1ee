"""Batches of equally large images, read from files without TensorFlow."""

import concurrent.futures

import numpy as np

from keras_isd.data.batches.array_batches import ArrayBatches
from keras_isd.data.decoding.resizing import crop_central_square
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.data.teacher_features import TeacherFeatures
from keras_isd.validation.arguments import check_positive_integer


class ImageBatches(ArrayBatches):
    """Makes batches of equally large images with labels, for a model that makes its own views.

    It is meant for folders on JAX and PyTorch, where it needs no TensorFlow. Each image's central
    square is resized to one size; the model then crops the views from it, on the device. The order
    of an epoch depends only on `seed` and the epoch; `workers` do not change it.

    If a file cannot be read, the next image replaces it, with its own label and features. Tiles are
    moved by random offsets that depend only on (seed, epoch, row), see `keras_isd.data.tiles`.

    Batches are images `(B, size, size, C)` of the source's dtype, or with teacher features
    `{"images": (B, size, size, C), "key": (B, D)}`. If the source has labels `(B,)`, a batch is a
    pair of images and labels.

    Args:
        source: `keras_isd.data.ImageSource`.
        size: int, side of the square images in pixels; somewhat larger than the views.
        batch_size: int.
        drop_remainder: bool, whether to omit an epoch's last batch if it is smaller. Defaults to
            True.
        teacher_features: `(N, D)` array or path for `keras_isd.DistillationModel`, see
            `two_view_dataset`; or None. Defaults to None.
        **kwargs: `seed`, `shuffle`, `initial_epoch` and `initial_step`, see `ArrayBatches`; and
            `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`, for
            threads or processes that prepare batches.

    Raises:
        ValueError: if `source` is no `ImageSource`, or an argument is out of range.

    Example:

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for width in (20, 30, 40, 50):
    ...     Image.new("RGB", (width, 24)).save(folder / f"{width}.png")
    >>> source = keras_isd.data.from_folder(folder)
    >>> batches = keras_isd.data.ImageBatches(source, size=16, batch_size=2, seed=0)
    >>> len(batches), batches[0].shape
    (2, (2, 16, 16, 3))
    """

    def __init__(
        self, source, size, batch_size, *, drop_remainder=True, teacher_features=None, **kwargs
    ):
        if not isinstance(source, ImageSource):
            raise ValueError(
                "Argument `source` must be a `keras_isd.data.ImageSource`, such as `from_folder` "
                f"makes. Received: {type(source).__name__}"
            )
        check_positive_integer("size", size)
        super().__init__(
            range(len(source)),
            batch_size=batch_size,
            drop_remainder=drop_remainder,
            **kwargs,
        )
        self.source = source
        self.size = size
        seed = kwargs.get("seed")
        self._shift_seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        self.teacher_features = (
            None if teacher_features is None else TeacherFeatures(teacher_features, len(source))
        )

    def batch_of(self, rows):
        with concurrent.futures.ThreadPoolExecutor() as readers:
            pairs = list(readers.map(self._read, rows.tolist()))
        images = np.stack([crop_central_square(image, self.size) for image, _ in pairs])
        read_rows = np.array([row for _, row in pairs])
        features = self.teacher_features
        batch = images if features is None else {"images": images, "key": features.rows(read_rows)}
        labels = self.source.labels
        return batch if labels is None else (batch, labels[read_rows])

    def _read(self, row):
        if not (self.source.has_shifts and self.shuffle) or self.teacher_features is not None:
            return self.source.read_one(row)
        shift = np.random.default_rng((self._shift_seed, self.epoch, row)).random(2)
        return self.source.read_one(row, shift)
