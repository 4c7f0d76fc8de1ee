"""Lets a run that was stopped or killed go on, and end as it would have ended."""

import contextlib
import math
import pathlib
import re

import keras
from absl import logging

from keras_isd import backend
from keras_isd.callbacks import callback_state, checkpoint_file
from keras_isd.callbacks.checkpoint_file import DamagedCheckpointError
from keras_isd.callbacks.run_record import differences, run_settings
from keras_isd.models import ValidatedModel
from keras_isd.validation.arguments import check_positive_integer


class Resume(keras.callbacks.Callback):
    """Writes checkpoints of a run, and starts the next run from the newest whole one.

    A checkpoint holds all that a run is made of: the weights of student and teacher, the queue
    with its labels and pointer, the optimizer with the steps that its schedule counts, the seeds of
    random layers, the running metrics of the epoch, and the place in the data. Training waits until
    they are copied; another thread writes the copy meanwhile, which takes as much memory again. A
    file is written beside its name first, so that a kill at any moment leaves the previous ones
    whole. When `fit` returns, in the process that writes, the last is written. What is read is
    checked, and where it is damaged the checkpoint before it is taken.

    What Keras' own callbacks remember is kept too (`EarlyStopping`, `ReduceLROnPlateau`,
    `ModelCheckpoint`, `TensorBoard`), and so is a rate that a `LearningRateScheduler` set: `fit` of
    this package's models calls `Resume` after them. A `CSVLogger` is made to append. Of other
    callbacks a warning tells that what they remember begins anew.

    A run that is killed at any step and resumed ends with the same weights, queue and metrics, to
    the bit on one CPU, if its batches come from `keras_isd.data.two_view_dataset` (or from another
    dataset that can begin in the middle) without `steps_per_epoch`. With arrays take
    `every_n_steps=None`. Of an epoch that is resumed in its middle Keras says that the input ran
    out of data: it expects a whole one.

    Args:
        directory: folder of this run's checkpoints, made if absent. An empty one starts anew. Of
            several workers, or processes of JAX, all read and the first writes.
        every_n_steps: int >= 1, steps between checkpoints within an epoch; None for one at the end
            of each epoch alone, which is written in any case.
        keep: int >= 1, how many of the newest checkpoints to keep.

    Attributes:
        initial_epoch, initial_step: where the run goes on, both 0 where it starts.

    Raises:
        ValueError: if an argument is outside its range; on `fit`, if the checkpoints are of
            another model or of a run with other settings, `initial_epoch` is another, or with
            `every_n_steps` the length of the data is not known.
        OSError: on `fit`, if a checkpoint could not be written, when the next is due or at the end;
            if `fit` ended by another error before, it is logged alone.

    Example:

    >>> import tempfile
    >>> images = np.random.randint(0, 256, (32, 8, 8, 3), "uint8")
    >>> weak = keras_isd.augmentation.weak(8)
    >>> model = keras_isd.ISDModel(keras_isd.backbones.ConvNet((8, 8, 3), (8,)), queue_size=16)
    >>> model.compile(keras_isd.optimizers.SGD(0.05))
    >>> resume = keras_isd.callbacks.Resume(tempfile.mkdtemp(), every_n_steps=2)
    >>> batches = keras_isd.data.two_view_dataset(
    ...     keras_isd.data.from_arrays(images), weak, weak, batch_size=8, seed=0,
    ...     initial_epoch=resume.initial_epoch, initial_step=resume.initial_step)
    >>> history = model.fit(batches, epochs=2, initial_epoch=resume.initial_epoch,
    ...                     shuffle=False, callbacks=[resume], verbose=0)
    >>> keras_isd.callbacks.Resume(resume.directory).initial_epoch
    2
    """

    def __init__(self, directory, every_n_steps=None, keep=2):
        super().__init__()
        if every_n_steps is not None:
            check_positive_integer("every_n_steps", every_n_steps)
        check_positive_integer("keep", keep)
        self.directory = pathlib.Path(directory).expanduser().resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.every_n_steps = every_n_steps
        # Keras then reads the logs in another thread, and no step waits for the device.
        self.async_safe = every_n_steps is None
        self.keep = keep
        _, facts = self._newest()
        self.initial_epoch, self.initial_step = facts["epoch"], facts["step"]
        self._others = []

    def set_other_callbacks(self, callbacks):
        """Learns of the other callbacks of a `fit`, which are called before this one."""
        self._others = list(callbacks)
        if self.initial_epoch or self.initial_step:
            callback_state.warn_of_unknown(callbacks)
            for callback in callbacks:
                if isinstance(callback, keras.callbacks.CSVLogger):
                    callback.append = True

    # Reading

    def on_train_begin(self, logs=None):
        arrays, facts = self._newest()
        if backend.is_chief(self.model):
            for unfinished in self.directory.glob("*.unfinished"):
                unfinished.unlink(missing_ok=True)
        place = (facts["epoch"], facts["step"])
        if place != (self.initial_epoch, self.initial_step):
            raise ValueError(
                f"The checkpoints in {self.directory} have changed since this Resume was made. "
                f"Make a new one. Received: epoch and step {place}, not "
                f"{(self.initial_epoch, self.initial_step)}"
            )
        self._settings = run_settings(self.model, self.params.get("steps"))
        self._to_restore = {}
        if arrays:
            others = {
                name: arrays.pop(name) for name in list(arrays) if name.startswith("callback/")
            }
            variables = self._variables()
            _check_same_model(arrays, variables, self.directory)
            _check_same_settings(facts.get("settings", {}), self._settings, self.directory)
            for name, variable in variables.items():
                variable.assign(arrays[name])
            callback_state.give_back(self._others, others, facts.get("callbacks", []))
            # Before its first step an epoch resets the metrics, and schedulers set the learning
            # rate, which they had already done where the epoch is resumed in its middle.
            self._to_restore = {
                n: a for n, a in arrays.items() if n.startswith(("metric/", "optimizer/"))
            }
        if self.every_n_steps and not self.params.get("steps"):
            raise ValueError(
                "Checkpoints within an epoch take a dataset whose length is known, as that of "
                "`two_view_dataset` is of a source. With `every_n_steps=None` there is one at the "
                f"end of each epoch. Received: every_n_steps={self.every_n_steps}"
            )
        self._epoch, self._step = place
        self._saved = self._step

    def on_epoch_begin(self, epoch, logs=None):
        if epoch != self._epoch:
            raise ValueError(
                f"The run goes on in epoch {self._epoch}: give `initial_epoch={self._epoch}` to "
                f"`fit`. Received: a run that begins in epoch {epoch}"
            )
        if self._step and self._to_restore:
            variables = self._variables()
            for name, array in self._to_restore.items():
                variables[name].assign(array)
        self._to_restore = {}

    def _newest(self):
        """Arrays and facts of the newest whole checkpoint; empty, and those of a start, if none."""
        with contextlib.suppress(OSError):  # of a `fit` that an error ended; it was logged
            checkpoint_file.wait(self.directory)
        for path in sorted(self._files(), reverse=True):
            try:
                return checkpoint_file.read(path)
            except DamagedCheckpointError as error:
                logging.warning("This checkpoint is damaged, the one before is taken: %s", error)
        return {}, {"epoch": 0, "step": 0}

    # Writing

    def on_train_batch_end(self, batch, logs=None):
        first = self.initial_step if self._epoch == self.initial_epoch else 0
        self._step = first + batch + 1
        # With several steps in one execution not every step comes by. The epoch's last step is
        # left to its end.
        due = self.every_n_steps and self._step - self._saved >= self.every_n_steps
        if due and self._step < self.params["steps"] and math.isfinite(logs["loss"]):
            self._write()

    def on_epoch_end(self, epoch, logs=None):
        self._epoch, self._step = epoch + 1, 0
        self._write()

    def on_train_end(self, logs=None):
        checkpoint_file.wait(self.directory)

    def _write(self):
        self._saved = self._step
        checkpoint_file.wait(self.directory)  # so that there is one copy at a time
        # All workers read, also those that do not write.
        arrays = {name: _copy(backend.to_numpy(v)) for name, v in self._variables().items()}
        if not backend.is_chief(self.model):
            return
        others, remembered = callback_state.take_down(self._others)
        arrays |= others
        facts = {
            "epoch": self._epoch,
            "step": self._step,
            "settings": self._settings,
            "callbacks": remembered,
        }
        path = self.directory / f"epoch{self._epoch:06d}_step{self._step:09d}.checkpoint"
        checkpoint_file.write_beside(path, arrays, facts, lambda: self._remove_others(path))

    def _remove_others(self, path):
        # What is ahead of the run was damaged, or it would have gone on from there.
        ahead = [other for other in self._files() if other.name > path.name]
        old = sorted(set(self._files()) - set(ahead))[: -self.keep]
        for other in (*ahead, *old):
            other.unlink(missing_ok=True)

    def _files(self):
        pattern = re.compile(r"epoch\d+_step\d+\.checkpoint")
        return [path for path in self.directory.iterdir() if pattern.fullmatch(path.name)]

    def _variables(self):
        """All variables of the run, by names that are the same in each process."""
        model = self.model  # which on JAX brings the values of the loop into the variables
        of_ours = isinstance(model, ValidatedModel)
        groups = {
            "model": model.state_variables() if of_ours else model.variables,
            "optimizer": model.optimizer.variables,
            "metric": model.metrics_variables,
        }
        return {
            f"{group}/{i:05d}": variable
            for group, variables in groups.items()
            for i, variable in enumerate(variables)
        }


def _copy(array):
    """An array that training does not change: one of PyTorch or JAX may be of a variable itself."""
    return array if array.flags.owndata else array.copy()


def _check_same_settings(before, now, directory):
    shared = before.keys() & now.keys()  # an earlier version may have written fewer
    if found := differences(*({name: x[name] for name in sorted(shared)} for x in (before, now))):
        raise ValueError(
            f"The checkpoints in {directory} are of a run with other settings, and weights of one "
            f"are not those of the other: give it a folder of its own. Received: {', '.join(found)}"
        )


def _check_same_model(arrays, variables, directory):
    differing = [
        f"{name}: {tuple(arrays[name].shape) if name in arrays else 'none'}, "
        f"wanted {tuple(variables[name].shape) if name in variables else 'none'}"
        for name in {**variables, **arrays}
        if not (name in arrays and name in variables)
        or tuple(arrays[name].shape) != tuple(variables[name].shape)
    ]
    if differing:
        raise ValueError(
            f"The checkpoints in {directory} are of another model or optimizer. "
            f"Received: {len(differing)} variables that differ, such as {differing[:3]}"
        )
