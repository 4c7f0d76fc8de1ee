"""The training step where it is a function from state to state: JAX."""

import contextlib

import keras
from keras import ops


def is_split(variable):
    """Whether the rows of a variable are shared out to devices, so that each has but a part."""
    distribution = keras.distribution.distribution()
    layout = distribution and distribution.get_variable_layout(variable)
    return bool(layout) and layout.axes[0] is not None


class GuardedTrainStep:
    """Mixin before `keras.Model`: as in `stateful.py`, on values instead of variables."""

    def train_step(self, state, data):
        variables = (
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
        )
        values = [
            pair
            for vs, old_values in zip(variables, state)  # the metrics come last in `state`
            for pair in zip(vs, old_values, strict=True)
        ]
        with keras.StatelessScope(state_mapping=values) as scope:
            self.update_teacher()
        moved = [scope.get_current_value(v) for v in self.non_trainable_variables]
        logs, new_state = super().train_step((state[0], moved, *state[2:]), data)

        healthy = ops.isfinite(logs["loss"])
        guarded = {id(v) for v in self.guarded_variables()}
        kept = [
            [
                ops.where(healthy, new, old) if id(v) in guarded else new
                for v, new, old in zip(vs, new_values, old_values, strict=True)
            ]
            for vs, new_values, old_values in zip(variables, new_state, state)
        ]
        return logs, (*kept, *new_state[len(kept) :])

    def fit(self, *args, **kwargs):
        with self._values_kept():
            return super().fit(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        with self._values_kept():
            return super().evaluate(*args, **kwargs)

    def predict(self, *args, **kwargs):
        with self._values_kept():
            return super().predict(*args, **kwargs)

    @contextlib.contextmanager
    def _values_kept(self):
        """Gives variables their values back where Keras loses them.

        Keras takes the values out of the variables for the length of a loop. Where already the
        first step fails, on a batch of a wrong shape say, it never puts them back.
        """
        optimizer = self.optimizer.variables if self.compiled else []
        values = [(v, v._value) for v in (*self.variables, *self.metrics_variables, *optimizer)]
        try:
            yield
        finally:
            for variable, value in values:
                if variable._value is None:
                    variable._value = value
