"""A look at the first images that `fit` trains on, on their way to the model."""

import contextlib
import random
import sys
import types

import keras
import numpy as np
from keras import ops

from keras_isd.validation.batches import VIEWS, Collated
from keras_isd.validation.images import SAMPLE, warn_of_pixels, warn_of_views


class Look:
    """Warns of the first batch that it is given, if its range cannot be right, and gives each back;
    a class, since the workers of a PyTorch DataLoader get a copy.

    Args:
        value_range: pair, of the plain images that the model makes views of; None if it makes none.
    """

    def __init__(self, value_range=None):
        self.value_range = value_range
        self.is_over = False

    def __call__(self, batch):
        if not self.is_over:
            self.is_over = True
            self._look_at(batch)
        return batch

    def _look_at(self, batch):
        views, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        if not isinstance(views, dict):
            views = {"images": views} if self.value_range else {}
        for name, images in views.items():
            if len(getattr(images, "shape", ())) != 4:  # a key may be features
                continue
            if name in VIEWS:
                warn_of_views(ops.convert_to_numpy(images[:SAMPLE]))
            elif name == "images" and self.value_range:
                warn_of_pixels(ops.convert_to_numpy(images[:SAMPLE]), self.value_range)


def looked_at(x, value_range):
    """What `fit` was given, or what gives the same and warns where the first batch is not right.

    No batch is read for it but the first of a `PyDataset`. Not looked at are what
    `keras_isd.data` makes, which has looked itself, and data sets that are shared out to workers.

    Args:
        x: what `fit` was given.
        value_range: see `Look`.
    """
    look = Look(value_range)
    if isinstance(x, types.GeneratorType):
        return (look(batch) for batch in x)
    if hasattr(x, "element_spec"):  # tf.data
        shared_out = not hasattr(x, "enumerate")
        return x if shared_out or getattr(x, "range_is_checked", False) else look_in_graph(x, look)
    if hasattr(x, "drop_last"):  # PyTorch's DataLoader, a copy: see `with_tuples`
        x.collate_fn = Collated(x.collate_fn, look)
    elif isinstance(x, keras.utils.PyDataset):
        if not x.use_multiprocessing:  # whose processes may not find open files
            with _draws_kept():
                look(x[0])
    elif all(hasattr(array, "shape") for array in keras.tree.flatten(x)):
        look((keras.tree.map_structure(lambda array: array[:SAMPLE], x),))
    return x


def look_in_graph(dataset, look):
    """A `tf.data.Dataset` of the same batches, the first of which is looked at."""
    from keras_isd.compat.quiet_tensorflow import tf

    def passed_on(number, batch):
        views, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        tensors = [view[:SAMPLE] for view in tf.nest.flatten(views)]

        def look_at(*arrays):
            look((tf.nest.pack_sequence_as(views, arrays),))
            return np.int64(0)

        seen = tf.cond(
            number == 0,
            lambda: tf.ensure_shape(tf.numpy_function(look_at, tensors, tf.int64), ()),
            lambda: tf.constant(0, tf.int64),
        )
        with tf.control_dependencies([seen]):
            return tf.nest.map_structure(tf.identity, batch)

    return dataset.enumerate().map(passed_on)


@contextlib.contextmanager
def _draws_kept():
    """Context after which the global generators of random numbers are as before."""
    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state(), torch and torch.random.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        if torch:
            torch.random.set_rng_state(states[2])
