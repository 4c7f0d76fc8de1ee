"""Seconds of single training steps inside `fit`."""

import time

import keras


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


class Repeated(keras.utils.PyDataset):
    """One batch, so many times."""

    def __init__(self, batch, count):
        super().__init__()
        self.batch, self.count = batch, count

    def __len__(self):
        return self.count

    def __getitem__(self, step):
        return self.batch


def fit_seconds(model, batch, count):
    """Seconds of `count` steps on one batch, less the first: in it `fit` moves the state in."""
    clock = Clock()
    repeated = Repeated(batch, count + 1)
    model.fit(repeated, shuffle=False, verbose=0, callbacks=[clock])
    return clock.seconds[1:]
