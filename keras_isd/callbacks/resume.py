"""Resumes interrupted runs, which end exactly as they would have ended."""

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
    """Writes checkpoints of a run, and resumes it from the newest whole one.

    A checkpoint holds the complete state of a run: the weights of student and teacher, the queue
    with its labels and pointer, the optimizer with the steps that its schedule counts, the seeds of
    random layers, the running metrics of the epoch, and the position in the data. Training waits
    for a copy, which takes as much memory again and is written by another thread. Files are written
    atomically: a kill at any moment leaves the previous ones whole. When `fit` returns, the writing
    process has finished the last file. Files are checked when they are read; if one is damaged, the
    checkpoint before it is used.

    The state of Keras' callbacks is included (`EarlyStopping`, `ReduceLROnPlateau`,
    `ModelCheckpoint`, `TensorBoard`), and so is a rate that a `LearningRateScheduler` set: `fit` of
    this package's models calls `Resume` after them. A `CSVLogger` is set to append. A warning names
    other callbacks, whose state starts anew.

    A run that is killed at any step and resumed ends with the same weights, queue and metrics, to
    the bit on one CPU, if its batches come from `keras_isd.data.two_view_dataset` (or from another
    dataset that can start at any step) without `steps_per_epoch`. With arrays use
    `every_n_steps=None`. If an epoch is resumed in its middle, Keras warns that the input ran out
    of data, since it expects a whole epoch.

    Args:
        directory: folder of this run's checkpoints, created if absent. An empty one starts a new
            run. All of several workers, or JAX processes, read it, and the first one
            writes.
        every_n_steps: int >= 1, steps between checkpoints within an epoch. Defaults to None: only
            at the end of each epoch, where a checkpoint is always written.
        keep: int >= 1, number of the newest checkpoints to keep. Defaults to 2.

    Attributes:
        initial_epoch, initial_step: where the run resumes; both 0 in a new run.

    Raises:
        ValueError: if an argument is outside its range; in `fit`, if the checkpoints are of another
            model or of a run with other settings, `initial_epoch` differs, or with `every_n_steps`
            the length of the data is not known.
        OSError: in `fit`, if a checkpoint could not be written, when the next one is due or at the
            end. If `fit` ends with another error before, it is only logged.

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
        # Keras then reads the logs in another thread, so no step waits for the device.
        self.async_safe = every_n_steps is None
        self.keep = keep
        _, facts = self._newest()
        self.initial_epoch, self.initial_step = facts["epoch"], facts["step"]
        self._others = []

    def set_other_callbacks(self, callbacks):
        """Receives the other callbacks of a `fit`, which are called before this one."""
        self._others = list(callbacks)
        if self.initial_epoch or self.initial_step:
            callback_state.warn_of_unknown_state(callbacks)
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
            callback_state.restore_state(self._others, others, facts.get("callbacks", []))
            # Before the first step of an epoch metrics are reset and schedulers set the learning
            # rate; in an epoch that is resumed in its middle both must be undone.
            self._to_restore = {
                n: a for n, a in arrays.items() if n.startswith(("metric/", "optimizer/"))
            }
        if self.every_n_steps and not self.params.get("steps"):
            raise ValueError(
                "Argument `every_n_steps` must be None for a dataset of unknown length; that of "
                "`two_view_dataset` is known for a source. "
                f"Received: every_n_steps={self.every_n_steps}"
            )
        self._epoch, self._step = place
        self._saved = self._step

    def on_epoch_begin(self, epoch, logs=None):
        if epoch != self._epoch:
            raise ValueError(
                f"Argument `initial_epoch` of `fit` must be {self._epoch} to resume the run. "
                f"Received: initial_epoch={epoch}"
            )
        if self._step and self._to_restore:
            variables = self._variables()
            for name, array in self._to_restore.items():
                variables[name].assign(array)
        self._to_restore = {}

    def _newest(self):
        """Arrays and facts of the newest whole checkpoint, or of a new run."""
        with contextlib.suppress(OSError):  # from a `fit` that another error ended; it was logged
            checkpoint_file.wait(self.directory)
        for path in sorted(self._files(), reverse=True):
            try:
                return checkpoint_file.read(path)
            except DamagedCheckpointError as error:
                logging.warning("This checkpoint is damaged, using the one before: %s", error)
        return {}, {"epoch": 0, "step": 0}

    # Writing

    def on_train_batch_end(self, batch, logs=None):
        first = self.initial_step if self._epoch == self.initial_epoch else 0
        self._step = first + batch + 1
        # With several steps per execution not every step is seen. `on_epoch_end` writes after the
        # epoch's last step.
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
        checkpoint_file.wait(self.directory)  # one copy at a time
        # All workers take part in reading sharded variables, also those that do not write.
        arrays = {name: _copy(backend.to_numpy(v)) for name, v in self._variables().items()}
        if not backend.is_chief(self.model):
            return
        others, states = callback_state.save_state(self._others)
        arrays |= others
        facts = {
            "epoch": self._epoch,
            "step": self._step,
            "settings": self._settings,
            "callbacks": states,
        }
        path = self.directory / f"epoch{self._epoch:06d}_step{self._step:09d}.checkpoint"
        checkpoint_file.write_in_background(path, arrays, facts, lambda: self._remove_others(path))

    def _remove_others(self, path):
        # A later checkpoint is damaged, or the run would have resumed from it.
        ahead = [other for other in self._files() if other.name > path.name]
        old = sorted(set(self._files()) - set(ahead))[: -self.keep]
        for other in (*ahead, *old):
            other.unlink(missing_ok=True)

    def _files(self):
        pattern = re.compile(r"epoch\d+_step\d+\.checkpoint")
        return [path for path in self.directory.iterdir() if pattern.fullmatch(path.name)]

    def _variables(self):
        """All variables of the run, by names that are the same in every process."""
        model = self.model  # on JAX this copies the loop's values into the variables
        is_own = isinstance(model, ValidatedModel)
        groups = {
            "model": model.state_variables() if is_own else model.variables,
            "optimizer": model.optimizer.variables,
            "metric": model.metrics_variables,
        }
        return {
            f"{group}/{i:05d}": variable
            for group, variables in groups.items()
            for i, variable in enumerate(variables)
        }


def _copy(array):
    """Copies an array that may share memory with a variable of PyTorch or JAX."""
    return array if array.flags.owndata else array.copy()


def _check_same_settings(before, now, directory):
    shared = before.keys() & now.keys()  # earlier versions wrote fewer
    if found := differences(*({name: x[name] for name in sorted(shared)} for x in (before, now))):
        raise ValueError(
            f"The checkpoints in {directory} are of a run with other settings: use another folder. "
            f"Received: {', '.join(found)}"
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
