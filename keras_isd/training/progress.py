"""How long a run takes: its steps timed beforehand, and a line of progress after each epoch."""

import dataclasses
import itertools
import math
import time

import keras
import numpy as np

from keras_isd.callbacks.due_epochs import is_due

# Metrics in the line of progress, by their names in the logs, with their formats.
PROGRESS = {
    "loss": ".3f",
    "view_retrieval": ".1%",
    "neighbor_stability": ".1%",
    "knn_student": ".1%",
    "feature_rank": ".0f",
}
WARMUP_STEPS = 3  # in which the step is compiled
TIMED_STEPS = 12
OVERHEAD = 0.1  # share of an epoch that checkpoints and metrics take in addition to its steps


class ProgressLine(keras.callbacks.Callback):
    """Logs one line an epoch: the loss, health metrics, and the time left.

    Args:
        log_fn: function that is called with each line.
        every_n_epochs: int, epochs from one line to the next; the first and the last epoch always
            have one. Defaults to 1.
        end: float, the time of `time.monotonic` at which a `TimeLimit` ends training. Defaults to
            infinity.
    """

    def __init__(self, log_fn, every_n_epochs=1, end=math.inf):
        super().__init__()
        self.log_fn = log_fn
        self.every_n_epochs = every_n_epochs
        self.end = end

    def on_train_begin(self, logs=None):
        self._start, self._first = time.perf_counter(), None

    def on_epoch_begin(self, epoch, logs=None):
        if self._first is None:
            self._first = epoch

    def on_epoch_end(self, epoch, logs=None):
        number, epochs = epoch + 1, self.params["epochs"]
        if not is_due(epoch, self.every_n_epochs, epochs):
            return
        taken = time.perf_counter() - self._start
        left = taken / (number - self._first) * (epochs - number)
        left = max(0.0, min(left, self.end - time.monotonic()))
        words = [f"epoch {number:>{len(str(epochs))}}/{epochs}"]
        words += [f"{name} {logs[name]:{form}}" for name, form in PROGRESS.items() if name in logs]
        self.log_fn("  ".join([*words, f"{left / 60:.0f} min left"]))


class TimeLimit(keras.callbacks.Callback):
    """Plans a run's epochs again after each one, so that training ends in time.

    Other work on the machine can make a run slower than it was measured to be. Then fewer epochs
    are trained, and each next one takes the learning rate of a later epoch of the schedule, so that
    the last one still has the schedule's last rate. An epoch is expected to take as long as the
    last three; of the first one, in which the step is compiled, only the other steps count.

    Args:
        end: float, the time of `time.monotonic` at which training must have ended.
        log_fn: function that is called with each line.

    Attributes:
        epochs: int, the epochs that were trained, if they are fewer than planned and the schedule
            is at its end, else None.
    """

    def __init__(self, end, log_fn):
        super().__init__()
        self.end = end
        self.log_fn = log_fn
        self.epochs = None
        self._ends = []  # those of epochs
        self._first = None  # the end of the first step
        self._is_slower = False

    def on_train_batch_end(self, batch, logs=None):
        self._first = self._first or (batch, time.monotonic())

    def on_epoch_end(self, epoch, logs=None):
        self._ends.append(time.monotonic())
        done, epochs, steps = epoch + 1, self.params["epochs"], self.params["steps"]
        iterations = self.model.optimizer.iterations
        place = int(iterations) // steps  # epochs of the schedule that are done
        left = epochs - place
        fitting = min(left, self._fitting_epochs())
        if done < epochs and fitting < 1:
            self.model.stop_training = True
            if left <= 0:
                self.epochs = done
                return
            self.log_fn(
                f"Stopped after {done} epochs by the time limit, {left} epochs before the end of "
                "the schedule: the machine became slower. Run the same command again to train the "
                "others."
            )
        elif fitting < left:
            if not self._is_slower:
                self._is_slower = True
                self.log_fn(
                    f"The machine is slower than measured: about {done + fitting} of {epochs} "
                    "epochs fit. The learning rate falls faster."
                )
            skipped = round(left / fitting) - 1
            iterations.assign((place + skipped) * steps)

    def _fitting_epochs(self):
        """The epochs that fit into the time left, the last one if nine tenths of it do."""
        last, steps = self._ends[-4:], self.params["steps"]
        left = self.end - last[-1]
        if len(last) > 1:
            duration = (last[-1] - last[0]) / (len(last) - 1)
        elif self._first is not None and steps - self._first[0] > 1:
            first, ended = self._first
            duration = (last[0] - ended) * steps / (steps - first - 1)
        else:
            duration = 0.0
        if math.isinf(left) or not duration:
            return math.inf if left > 0 else 0
        return int(left / duration + 0.1)


def time_steps(model, batches):
    """Seconds of the first steps, compilation included, and of the timed steps after them."""
    stream = itertools.chain.from_iterable(itertools.repeat(batches))

    def seconds(steps):
        start = time.perf_counter()
        for batch in itertools.islice(stream, steps):
            # `fit` takes the tensors of tf.data on every backend, `train_on_batch` does not.
            batch = keras.tree.map_structure(np.asarray, batch)
            views, labels, _ = keras.utils.unpack_x_y_sample_weight(batch)
            model.train_on_batch(views, labels)
        return time.perf_counter() - start

    return seconds(WARMUP_STEPS), seconds(TIMED_STEPS)


def epochs_that_fit(settings, timing, steps, seconds, log_fn):
    """The settings with as many of their epochs as fit into a time, and logs the estimate.

    Args:
        settings: `TrainingSettings`.
        timing: pair of seconds, see `time_steps`.
        steps: int, steps of an epoch.
        seconds: float, time that is left, or infinity.
        log_fn: function that is called with each line.

    Raises:
        ValueError: if not even one epoch fits.
    """
    warmup, timed = timing
    step = timed / TIMED_STEPS
    epoch = step * steps * (1 + OVERHEAD)
    left = seconds - 2 * warmup - timed  # the run itself is compiled again
    fitting = int(min(left / epoch, settings.epochs))
    log_fn(
        f"Measured: {settings.batch_size / step:,.0f} images/s, {format_duration(epoch)} an epoch, "
        f"{format_duration(epoch * settings.epochs)} for {settings.epochs} "
        f"epoch{'s' * (settings.epochs > 1)}, {_memory()}."
    )
    if fitting < 1:
        raise ValueError(
            "Argument `minutes` must be enough for an epoch, which takes "
            f"{format_duration(epoch)}. "
            f"Received: minutes={seconds / 60:.2g} that are left"
        )
    if fitting == settings.epochs:
        return settings
    log_fn(f"{fitting} epochs fit into the {format_duration(seconds)} that are left.")
    reasons = {**settings.reasons, "epochs": "as many as fit into the time limit"}
    return dataclasses.replace(settings, epochs=fitting, reasons=reasons)


def _memory():
    """The peak memory of this process, in words."""
    try:
        import resource
    except ModuleNotFoundError:  # on Windows
        return "memory not known"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB of memory"


def format_duration(seconds):
    """A duration in the unit that suits it, such as `"2.5 hours"`."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.1f} seconds"
