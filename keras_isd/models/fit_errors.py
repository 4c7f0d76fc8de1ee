"""Errors that stop training: a non-finite loss, named by its step, and a lost worker."""

import contextlib
import math

import keras
from keras import ops

from keras_isd import backend
from keras_isd.compat.keras_internals import base_optimizer, batch_counter


class NonFiniteLossError(FloatingPointError):
    """The loss of a training step was NaN or infinite; that step changed nothing."""


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Raises a `NonFiniteLossError` as soon as the loss in the logs is not finite.

    `ValidatedModel.fit` adds it to the callbacks of each run.
    """

    # Keras may read the logs in another thread, so that no step waits for the device.
    async_safe = True

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise NonFiniteLossError


def with_finite_check(callbacks):
    """Adds a `StopOnNonFiniteLoss` to the callbacks given to `fit`, in any form that it takes.

    A callback with a method `set_other_callbacks`, as `Resume` has, is called after the others.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        given = [c for c in callbacks.callbacks if not isinstance(c, StopOnNonFiniteLoss)]
        callbacks.callbacks[:] = [*_in_order(given), StopOnNonFiniteLoss()]
        return callbacks
    return [*_in_order(keras.tree.flatten(callbacks or [])), StopOnNonFiniteLoss()]


def _in_order(callbacks):
    last = [callback for callback in callbacks if hasattr(callback, "set_other_callbacks")]
    others = [callback for callback in callbacks if not hasattr(callback, "set_other_callbacks")]
    for callback in last:
        callback.set_other_callbacks(others)
    return [*others, *last]


@contextlib.contextmanager
def explain_errors(model):
    """Context that explains errors of training: what happened and what to do."""
    try:
        yield
    except NonFiniteLossError:
        good = int(ops.convert_to_numpy(batch_counter(base_optimizer(model))))
        raise NonFiniteLossError(
            f"The loss of training step {good + 1} (the first is 1) is not finite. That step "
            f"changed nothing: weights, teacher, queue and optimizer are as after step {good} "
            "and can be saved. Usual causes: NaN or infinite pixels in the batch, or a learning "
            "rate that is too high."
        ) from None
    except Exception as error:
        if not backend.is_worker_lost(model, error):
            raise
        raise ConnectionError(
            "A worker of the run was lost, and the others cannot continue without it. Restart all "
            "of them: with `keras_isd.callbacks.Resume` they resume from the last checkpoint. "
            f"Received: {error}"
        ) from error
