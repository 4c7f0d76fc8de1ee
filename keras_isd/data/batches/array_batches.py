"""Batches of rows of arrays, without TensorFlow, shuffled for training."""

import keras
import numpy as np

from keras_isd.validation.arguments import check_positive_integer, check_seed


class ArrayBatches(keras.utils.PyDataset):
    """Batches of rows of arrays, in another order each epoch, on every backend alike.

    The order of an epoch depends on `seed` and its number alone, so that a run can begin at any
    step of any epoch. Of images and labels, it is what `fit` takes of a model that makes its views
    itself.

    Args:
        *arrays: arrays of as many rows each, such as images and labels, or dicts of such, such as
            `{"images": images, "key": features}` for `keras_isd.DistillationModel`.
        batch_size: int.
        seed: int, of the order; None for another in each run.
        shuffle: bool, whether rows are not simply in their own order.
        drop_remainder: bool, whether to leave out an epoch's last batch where it is smaller.
        initial_epoch, initial_step: ints, with which the first pass begins, to resume a run.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Raises:
        ValueError: if the arrays differ in length, or `batch_size` is not a positive integer, or
            larger than they are where the remainder is dropped, or the first step is outside the
            epoch.

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
        initial_step=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
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
        steps = self.rows // batch_size if drop_remainder else -(-self.rows // batch_size)
        if not 0 <= initial_step < steps:
            raise ValueError(
                f"Argument `initial_step` must be in [0, {steps}), the steps of an epoch. "
                f"Received: {initial_step=}"
            )
        self.steps = steps
        self.random = np.random.default_rng(seed)
        for _ in range(initial_epoch + 1):
            self._draw_order()
        self.first_step = initial_step
        self.in_pass = False

    def __len__(self):
        # Keras asks before the first pass, and takes the answer for the length of all.
        return self.steps - self._offset()

    def __getitem__(self, index):
        return self.batch_of(self.rows_of(index))

    def rows_of(self, index):
        """Row numbers of a batch of this pass."""
        first = (index + self._offset()) * self.batch_size
        return self.order[first : first + self.batch_size]

    def batch_of(self, rows):
        """The batch of some rows."""
        return keras.tree.map_structure(lambda array: array[rows], self.arrays)

    def on_epoch_begin(self):
        self.in_pass = True

    def on_epoch_end(self):
        if self.in_pass:  # Keras also ends one before the first begins
            self.first_step, self.in_pass = 0, False
            self._draw_order()

    def _offset(self):
        """How many batches of this pass are left out before the first."""
        return self.first_step if self.in_pass else 0

    def _draw_order(self):
        self.order = self.random.permutation(self.rows) if self.shuffle else np.arange(self.rows)
