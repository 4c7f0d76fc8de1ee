"""Stops a run whose loss is not finite, with an error that names the step."""

import math

import keras


class NonFiniteLossError(FloatingPointError):
    """The loss of a training step was NaN or infinite; that step changed nothing."""


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Raises a `NonFiniteLossError` as soon as the loss in the logs is not finite.

    `MomentumModel.fit` adds it to the callbacks of each run.
    """

    # Lets Keras read the logs in another thread, so that no step waits for the device.
    async_safe = True

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise NonFiniteLossError


def and_stop(callbacks):
    """The callbacks given to `fit`, in any form that it takes, and a `StopOnNonFiniteLoss`."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.append(StopOnNonFiniteLoss())
        return callbacks
    return [*keras.tree.flatten(callbacks or []), StopOnNonFiniteLoss()]


def non_finite_loss_error(good_steps):
    """The error for a run that has made `good_steps` steps before the one that failed."""
    return NonFiniteLossError(
        f"The loss of training step {good_steps + 1} (the first is 1) is not finite. That step "
        f"changed nothing: weights, teacher, queue and optimizer are as after step {good_steps} "
        "and can be saved. Usual causes: NaN or infinite pixels in the batch, or a learning rate "
        "that is too high."
    )
