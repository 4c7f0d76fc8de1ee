"""Shuffled batches of arrays, without TensorFlow."""

import keras
import numpy as np

from keras_isd.validation.arguments import check_positive_integer, check_seed


class ArrayBatches(keras.utils.PyDataset):
    """Makes batches of the rows of arrays, in a new order each epoch, the same on every backend.

    The order of an epoch depends only on `seed` and the epoch, so a run can start at any step of
    any epoch. With images and labels, it is the input of `fit` for a model that makes its views
    itself.

    Args:
        *arrays: arrays with the same number of rows, such as images and labels, or dicts of them,
            such as `{"images": images, "key": features}` for `keras_isd.DistillationModel`.
        batch_size: int.
        seed: int, which determines the orders; None for other orders in each run. Defaults to None.
        shuffle: bool, whether to shuffle the rows in each epoch. Defaults to True.
        drop_remainder: bool, whether to omit an epoch's last batch if it is smaller. Defaults to
            False.
        initial_epoch, initial_step: ints, the epoch and the step with which the first pass starts,
            to resume a run. Default to 0.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Raises:
        ValueError: if the arrays differ in length, `batch_size` is not a positive integer or leaves
            no batch, or `initial_step` is outside the epoch.

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
            raise ValueError(
                f"Arrays must have the same length. Received: arrays of {lengths} rows"
            )
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
                f"Argument `initial_step` must be in [0, {steps}), the number of steps per epoch. "
                f"Received: {initial_step=}"
            )
        self.steps = steps
        self.random = np.random.default_rng(seed)
        self.epoch = initial_epoch
        for _ in range(initial_epoch + 1):
            self._draw_order()
        self.first_step = initial_step
        self.is_in_pass = False

    def __len__(self):
        # Keras calls this once, before the first pass, and uses the result for all passes.
        return self.steps - self._offset()

    def __getitem__(self, index):
        return self.batch_of(self.rows_of(index))

    def rows_of(self, index):
        """Returns the row numbers of a batch of this pass."""
        first = (index + self._offset()) * self.batch_size
        return self.order[first : first + self.batch_size]

    def batch_of(self, rows):
        """Returns the batch that consists of the given rows."""
        return keras.tree.map_structure(lambda array: array[rows], self.arrays)

    def on_epoch_begin(self):
        self.is_in_pass = True

    def on_epoch_end(self):
        if self.is_in_pass:  # Keras also calls this before the first epoch
            self.first_step, self.is_in_pass = 0, False
            self.epoch += 1
            self._draw_order()

    def _offset(self):
        """The number of batches that this pass skips at its beginning."""
        return self.first_step if self.is_in_pass else 0

    def _draw_order(self):
        self.order = self.random.permutation(self.rows) if self.shuffle else np.arange(self.rows)
