"""Batches of images of one size, read from files without TensorFlow, for views in the step."""

import concurrent.futures

import numpy as np

from keras_isd.data.batches.array_batches import ArrayBatches
from keras_isd.data.decoding.resizing import central_square
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.data.teacher_features import TeacherFeatures
from keras_isd.validation.arguments import check_positive_integer


class ImageBatches(ArrayBatches):
    """Batches of images of one size, with labels: for a model that makes its views in the step.

    For folders on JAX and PyTorch, where it does without TensorFlow. Each image's central square is
    brought to one size; the views are then cropped from that, on the device. The order of an epoch
    depends on `seed` and its number alone, and what `workers` there are changes nothing.

    For a file that cannot be read the next stands in, with its label and features.

    Args:
        source: `keras_isd.data.ImageSource`.
        size: int, side of the square images; somewhat larger than the views.
        batch_size: int.
        drop_remainder: bool, whether to leave out an epoch's last batch where it is smaller.
        teacher_features: `(N, D)` array or path, see `two_view_dataset`, for
            `keras_isd.DistillationModel`.
        **kwargs: `seed`, `shuffle`, `initial_epoch` and `initial_step`, see `ArrayBatches`; and
            `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`:
            threads, or processes, that make batches ahead.

    Batches are images `(B, size, size, C)` of the source's dtype, or with features
    `{"images": (B, size, size, C), "key": (B, D)}`, and with labels `(B,)` as a pair.

    Raises:
        ValueError: if `source` is none, or an argument is out of its range.

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
                "Argument `source` must be a `keras_isd.data.ImageSource`, as `from_folder` gives. "
                f"Received: {type(source).__name__}"
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
        self.teacher_features = (
            None if teacher_features is None else TeacherFeatures(teacher_features, len(source))
        )

    def batch_of(self, rows):
        with concurrent.futures.ThreadPoolExecutor() as readers:
            read = list(readers.map(self.source.read_one, rows.tolist()))
        images = np.stack([central_square(image, self.size) for image, _ in read])
        of = np.array([row for _, row in read])
        features = self.teacher_features
        batch = images if features is None else {"images": images, "key": features.rows(of)}
        labels = self.source.labels
        return batch if labels is None else (batch, labels[of])
