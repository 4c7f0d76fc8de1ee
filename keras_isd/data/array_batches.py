"""Batches of arrays, without TensorFlow: shuffled for training, or in order and as views."""

import keras
import numpy as np

from keras_isd.argument_validation import check_positive_integer, check_seed
from keras_isd.image_range import SAMPLE, warn_of_pixels


class ArrayBatches(keras.utils.PyDataset):
    """Batches of rows of arrays, in another order each epoch, on every backend alike.

    The order of an epoch depends on `seed` and its number alone, so that a run can begin in any
    epoch. Of images and labels, it is what `fit` takes of a model that makes its views itself.

    Args:
        *arrays: arrays of as many rows each, such as images and labels, or dicts of such, such as
            `{"images": images, "key": features}` for `keras_isd.DistillationModel`.
        batch_size: int.
        seed: int, of the order; None for another in each run.
        shuffle: bool, whether rows are not simply in their own order.
        drop_remainder: bool, whether to leave out an epoch's last batch where it is smaller.
        initial_epoch: int, with which the first pass begins, to resume a run.

    Raises:
        ValueError: if the arrays differ in length, or `batch_size` is not a positive integer, or
            larger than they are where the remainder is dropped.

    Example:

    >>> batches = keras_isd.data.ArrayBatches(np.arange(5), batch_size=2, shuffle=False)
    >>> [batch[0].tolist() for batch in batches]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        *arrays,
        batch_size,
        seed=None,
        shuffle=True,
        drop_remainder=False,
        initial_epoch=0,
    ):
        super().__init__()
        check_positive_integer("batch_size", batch_size)
        check_seed("seed", seed)
        lengths = sorted({len(array) for array in keras.tree.flatten(arrays)})
        if len(lengths) != 1:
            raise ValueError(f"Arrays must be of one length. Received: arrays of {lengths} rows")
        if drop_remainder and batch_size > lengths[0]:
            raise ValueError(
                "Argument `batch_size` must be at most the number of rows, unless "
                f"`drop_remainder=False`. Received: {batch_size=}, {lengths[0]} rows"
            )
        self.arrays = arrays
        self.rows = lengths[0]
        self.batch_size = batch_size
        self.drop_remainder = drop_remainder
        self.shuffle = shuffle
        self.random = np.random.default_rng(seed)
        for _ in range(initial_epoch + 1):
            self.on_epoch_end()

    def __len__(self):
        whole = self.rows // self.batch_size
        return whole if self.drop_remainder else -(-self.rows // self.batch_size)

    def __getitem__(self, index):
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return keras.tree.map_structure(lambda array: array[rows], self.arrays)

    def on_epoch_end(self):
        self.order = self.random.permutation(self.rows) if self.shuffle else np.arange(self.rows)


class ViewBatches:
    """Batches of a view of images that lie in an array, in their order, with labels: to evaluate.

    As `one_view_dataset` of `from_arrays`, but without TensorFlow: the backend makes the views.

    Args:
        images: `(N, H, W, 3)` in [0, 255], of any type.
        labels: `(N,)` integers, or None.
        view: function from a batch of images to views, such as
            `keras_isd.augmentation.evaluation(32)`.
        batch_size: int.

    Raises:
        ValueError: as `ArrayBatches`.

    Example:

    >>> view = keras_isd.augmentation.evaluation(8)
    >>> batches = keras_isd.data.ViewBatches(np.zeros((5, 9, 9, 3)), np.arange(5), view, 3)
    >>> [(tuple(views.shape), labels.tolist()) for views, labels in batches]
    [((3, 8, 8, 3), [0, 1, 2]), ((2, 8, 8, 3), [3, 4])]
    """

    def __init__(self, images, labels, view, batch_size):
        arrays = (images,) if labels is None else (images, labels)
        self.batches = ArrayBatches(*arrays, batch_size=batch_size, shuffle=False)
        warn_of_pixels(keras.ops.convert_to_numpy(images[:SAMPLE]))
        self.view = view

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        for number in range(len(self)):
            images, *labels = self.batches[number]
            yield (self.view(images), *labels)
