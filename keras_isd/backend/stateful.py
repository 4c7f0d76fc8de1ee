"""The training step where variables are assigned to: TensorFlow and PyTorch."""

import keras
from keras import ops

from keras_isd.backend import replicas

if keras.backend.backend() == "torch":
    from keras_isd.backend.torch import once_read
else:
    from keras_isd.backend.tensorflow import once_read


def is_split(variable):
    """Whether the rows of a variable are shared out to devices: never here."""
    return False


class GuardedTrainStep:
    """Mixin before `keras.Model`: moves the teacher, then takes Keras' own step.

    A step whose loss is not finite changes none of `self.guarded_variables()`.
    `logs["loss"]` is the mean of the epoch so far: once it is not finite it stays so,
    and no later step trains either until `fit` has stopped.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: model, optimizer and metrics are built when they are made.

        Keras does it under a strategy, on a batch that it makes with `strategy.reduce`, which of
        the dicts of several workers fails in 3.15 (`backend/tensorflow/trainer.py`).
        """

    def train_step(self, data):
        before = [(v, ops.stop_gradient(ops.copy(v))) for v in self.guarded_variables()]
        with once_read(data):
            self.update_teacher()
            logs = super().train_step(data)

            _restore_unless(ops.isfinite(logs["loss"]), before)
        return replicas.for_fit(logs)

    def test_step(self, data):
        return replicas.for_fit(super().test_step(data))


def _restore_unless(healthy, before):
    """Gives variables their values of before back where a step is not healthy."""
    if replicas.count() > 1:  # where TensorFlow takes no assignment inside a condition
        for variable, value in before:
            variable.assign(ops.where(healthy, variable, value))
        return

    def restore():
        for variable, value in before:
            variable.assign(value)
        return healthy

    # A healthy step then pays for no pass over all weights, and TensorFlow copies none before.
    ops.cond(healthy, lambda: healthy, restore)
