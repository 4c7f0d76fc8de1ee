"""Seconds of training steps inside `fit`."""

import time

import keras
import numpy as np


class Clock(keras.callbacks.Callback):
    """Times each step until its loss is known, as `fit` runs it."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_train_batch_begin(self, step, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, step, logs=None):
        float(logs["loss"])
        self.seconds.append(time.perf_counter() - self.start)


class EpochClock(keras.callbacks.Callback):
    """Times each epoch until its loss is known; no step waits for the one before it."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        float(logs["loss"])
        self.seconds.append(time.perf_counter() - self.start)


def random_views(*shape):
    """A batch of two views, of noise."""
    return {name: np.random.rand(*shape).astype("float32") for name in ("query", "key")}


class Repeated(keras.utils.PyDataset):
    """One batch, so many times."""

    def __init__(self, batch, count):
        super().__init__()
        self.batch, self.count = batch, count

    def __len__(self):
        return self.count

    def __getitem__(self, step):
        return self.batch


def on_device(batch):
    """A batch that no step has to move there."""
    return keras.tree.map_structure(keras.ops.convert_to_tensor, batch)


def fit_seconds(model, batch, count, together=False):
    """Seconds of `count` steps on one batch, without those in which `fit` moves the state in.

    With `together` no step waits for the loss of the one before, as on a GPU in a real run, and
    their mean is the one number that is given.
    """
    clock = EpochClock() if together else Clock()
    repeated = Repeated(batch, count if together else count + 1)
    arguments = {"shuffle": False, "verbose": 0, "callbacks": [clock]}
    model.fit(repeated, epochs=2 if together else 1, **arguments)
    return [clock.seconds[1] / count] if together else clock.seconds[1:]
