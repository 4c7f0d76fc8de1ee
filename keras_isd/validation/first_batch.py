"""Checks the value range of the first batch that `fit` trains on."""

import contextlib
import random
import sys
import types

import keras
import numpy as np
from keras import ops

from keras_isd.validation.batches import VIEWS, ChainedCollate
from keras_isd.validation.images import SAMPLED_IMAGES, warn_of_pixels, warn_of_views


class FirstBatchCheck:
    """Warns if the value range of the first batch is implausible, and returns each batch.

    It is a class because the workers of a PyTorch DataLoader receive a copy.

    Args:
        value_range: pair, the range of plain images from which the model makes views; None if it
            makes no views. Defaults to None.
    """

    def __init__(self, value_range=None):
        self.value_range = value_range
        self.is_done = False

    def __call__(self, batch):
        if not self.is_done:
            self.is_done = True
            self._check(batch)
        return batch

    def _check(self, batch):
        views, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        if not isinstance(views, dict):
            views = {"images": views} if self.value_range else {}
        for name, images in views.items():
            rank = len(getattr(images, "shape", ()))
            if rank not in (4, 5):  # a key may be features
                continue
            if rank == 5:  # several views of each image
                images = images[:, 0]
            if name in VIEWS:
                warn_of_views(ops.convert_to_numpy(images[:SAMPLED_IMAGES]))
            elif name == "images" and self.value_range:
                warn_of_pixels(ops.convert_to_numpy(images[:SAMPLED_IMAGES]), self.value_range)


def check_first_batch(x, value_range):
    """Adds a `FirstBatchCheck` to the data given to `fit`, and returns the data.

    It reads no batch, except the first of a `PyDataset`. Two kinds of data are returned unchanged:
    data sets of `keras_isd.data`, which are checked when they are made, and distributed data sets.

    Args:
        x: the data given to `fit`.
        value_range: see `FirstBatchCheck`.
    """
    check = FirstBatchCheck(value_range)
    if isinstance(x, types.GeneratorType):
        return (check(batch) for batch in x)
    if hasattr(x, "element_spec"):  # tf.data
        is_distributed = not hasattr(x, "enumerate")
        is_checked = getattr(x, "range_is_checked", False)
        return x if is_distributed or is_checked else check_in_graph(x, check)
    if hasattr(x, "drop_last"):  # PyTorch's DataLoader, a copy: see `tuple_batches`
        x.collate_fn = ChainedCollate(x.collate_fn, check)
    elif isinstance(x, keras.utils.PyDataset):
        if not x.use_multiprocessing:  # its processes may not inherit open files
            with _preserve_random_state():
                check(x[0])
    elif all(hasattr(array, "shape") for array in keras.tree.flatten(x)):
        check((keras.tree.map_structure(lambda array: array[:SAMPLED_IMAGES], x),))
    return x


def check_in_graph(dataset, check):
    """Adds a `FirstBatchCheck` to a `tf.data.Dataset`, whose batches stay the same."""
    from keras_isd.compat.quiet_tensorflow import tf

    def checked(number, batch):
        views, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        tensors = [view[:SAMPLED_IMAGES] for view in tf.nest.flatten(views)]

        def check_arrays(*arrays):
            check((tf.nest.pack_sequence_as(views, arrays),))
            return np.int64(0)

        done = tf.cond(
            number == 0,
            lambda: tf.ensure_shape(tf.numpy_function(check_arrays, tensors, tf.int64), ()),
            lambda: tf.constant(0, tf.int64),
        )
        with tf.control_dependencies([done]):
            return tf.nest.map_structure(tf.identity, batch)

    return dataset.enumerate().map(checked)


@contextlib.contextmanager
def _preserve_random_state():
    """Context that restores the states of the global random generators at its end."""
    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state(), torch and torch.random.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        if torch:
            torch.random.set_rng_state(states[2])
