"""The training step where variables are assigned to: TensorFlow and PyTorch."""

from keras import ops


class GuardedTrainStep:
    """Mixin before `keras.Model`: moves the teacher, then takes Keras' own step.

    A step whose loss is not finite changes none of `self.guarded_variables()`.
    `logs["loss"]` is the mean of the epoch so far: once it is not finite it stays so,
    and no later step trains either until `fit` has stopped.
    """

    def train_step(self, data):
        before = [(v, ops.stop_gradient(ops.copy(v))) for v in self.guarded_variables()]
        self.update_teacher()
        logs = super().train_step(data)

        healthy = ops.isfinite(logs["loss"])
        for variable, value in before:
            variable.assign(ops.where(healthy, variable, value))
        return logs
