"""A look at the first images that `fit` is given, which changes nothing of the run."""

import contextlib
import itertools
import random
import types

import keras
import numpy as np
from keras import ops

from keras_isd.image_range import SAMPLE, warn_of_pixels, warn_of_views
from keras_isd.models.batches import VIEWS


def look_at_first_batch(x, plain):
    """Warns of images whose range cannot be right, of any data that `fit` takes.

    Args:
        x: what `fit` was given. What `keras_isd.data` makes has been looked at already, and a data
            set that is shared out to workers, or that can only be read once, is not looked at.
        plain: bool, whether the model makes views of plain images.

    Returns:
        What `fit` is to be given instead: a generator that begins with the batch looked at, or `x`.
    """
    first = None
    if isinstance(x, types.GeneratorType):
        first = next(x, None)
        x = _with_first(first, x)
    elif not getattr(x, "range_is_checked", False):
        first = _first_batch(x)
    if first is not None:
        _look_at(keras.utils.unpack_x_y_sample_weight(first)[0], plain)
    return x


def _with_first(first, others):
    yield from itertools.chain([] if first is None else [first], others)


def _first_batch(x):
    if hasattr(x, "element_spec"):  # tf.data, and not shared out
        return next(iter(x.take(1)), None) if hasattr(x, "take") else None
    if isinstance(x, keras.utils.PyDataset):
        return x[0]
    if hasattr(x, "drop_last"):  # PyTorch's DataLoader
        return _first_of_loader(x)
    if all(hasattr(array, "shape") for array in keras.tree.flatten(x)):
        return keras.tree.map_structure(lambda array: array[:SAMPLE], x)
    return None


def _first_of_loader(loader):
    """The first images of its data set: its sampler and its workers are not set to work."""
    import torch

    if isinstance(loader.dataset, torch.utils.data.IterableDataset):
        return None
    count = min(len(loader.dataset), loader.batch_size or SAMPLE, SAMPLE)
    with _draws_kept():
        items = [loader.dataset[index] for index in range(count)]
    return loader.collate_fn(items) if items else None


@contextlib.contextmanager
def _draws_kept():
    """Context after which all generators of random numbers are as before."""
    import torch

    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _look_at(views, plain):
    if isinstance(views, dict):
        for name in VIEWS:  # a key may be features
            if name in views and len(views[name].shape) == 4:
                warn_of_views(ops.convert_to_numpy(views[name][:SAMPLE]))
        if "images" in views:
            warn_of_pixels(ops.convert_to_numpy(views["images"][:SAMPLE]))
    elif plain and hasattr(views, "shape"):
        warn_of_pixels(ops.convert_to_numpy(views[:SAMPLE]))
