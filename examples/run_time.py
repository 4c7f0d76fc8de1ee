"""How fast a run of an example goes, and where it stops when its time is up."""

import os
import time

import keras
from absl import flags

MORE_TO_DO = getattr(os, "EX_TEMPFAIL", 75)  # Windows has no name for it
MINUTES = flags.DEFINE_float(
    "minutes",
    None,
    "Stop after the last epoch that fits into so many minutes, and after one at least, with exit "
    f"status {MORE_TO_DO}; the same command goes on. Takes --resume.",
    0,
)
WARM = 2  # steps of an epoch that are not timed: in those of the first a process compiles
_started = time.monotonic()  # as near to the start of the process as can be told here


class RunTime(keras.callbacks.Callback):
    """Logs `images_per_second` of each epoch, and stops before an epoch that does not fit.

    It stands before the callbacks that are to have what it logs. No step waits for it.

    Args:
        batch_size: int.
        minutes: float, from the start of the program, or None for no limit.

    Attributes:
        stopped: whether epochs are left that the time was not enough for.
    """

    remembered = ()  # nothing, where a run goes on

    def __init__(self, batch_size, minutes=None):
        super().__init__()
        self.batch_size = batch_size
        self.deadline = None if minutes is None else _started + 60 * minutes
        self.stopped = False
        self.between = 0.0  # seconds from an epoch to the next: checkpoints
        self.ended = None

    def on_epoch_begin(self, epoch, logs=None):
        self.timed_from = time.monotonic()
        self.timed_steps = 0
        self.warm = WARM if self.params["steps"] > WARM else 0
        if self.ended is not None:
            self.between = self.timed_from - self.ended

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.warm:
            self.timed_from = time.monotonic()
            self.timed_steps = 0
        self.timed_steps += 1  # as they come: an epoch that is resumed in its middle has fewer

    def on_epoch_end(self, epoch, logs=None):
        self.ended = time.monotonic()  # the logs that are given are numbers: the device has done
        seconds = (self.ended - self.timed_from) / self.timed_steps
        logs["images_per_second"] = self.batch_size / seconds
        left = self.params["epochs"] - epoch - 1
        needed = self.params["steps"] * seconds + self.between
        if self.deadline is not None and left and self.ended + needed > self.deadline:
            self.stopped = self.model.stop_training = True
