"""The ways into a model, where what is wrong with its batches is said before work is lost."""

import functools
import inspect

import keras

from keras_isd import backend
from keras_isd.interruptions import and_stop, explained
from keras_isd.two_views import batch_sizes, check_batch


class CheckedBatches:
    """Mixin before `keras.Model`: looks at each batch, and at how batches share out to devices.

    The model has an attribute `two_views`, None unless it makes the views of plain images itself.
    """

    @functools.wraps(keras.Model.fit)
    def fit(self, *args, **kwargs):
        call = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs)
        given = call.arguments
        split = given.get("validation_split")
        training = (given.get("x"), given.get("batch_size"), split)
        self._check_sizes(*training)
        self.check_training_sizes(lambda: batch_sizes(*training))
        if given.get("validation_data") is not None:
            data = given["validation_data"]
            part = data[0] if isinstance(data, (tuple, list)) else data
            self._check_sizes(part, given.get("validation_batch_size") or given.get("batch_size"))
        call.arguments["callbacks"] = and_stop(call.arguments.get("callbacks"))
        with explained(self):
            return super().fit(*call.args[1:], **call.kwargs)

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        self._check_sizes(x, batch_size)
        return super().evaluate(x, y, batch_size, *args, **kwargs)

    @functools.wraps(keras.Model.predict)
    def predict(self, x, batch_size=None, *args, **kwargs):
        self._check_sizes(x, batch_size)
        return super().predict(x, batch_size, *args, **kwargs)

    def _check_sizes(self, x, *sizes):
        """Raises a ValueError for batches that cannot be shared out to all devices."""
        backend.replicas.check_batch_sizes(self, lambda: batch_sizes(x, *sizes))

    def check_training_sizes(self, sizes):
        """Raises a ValueError for batches of sizes `sizes()` that the method cannot train on."""

    def train_step(self, *state_and_data):  # the state on JAX alone
        return super().train_step(*state_and_data[:-1], self._checked(state_and_data[-1]))

    def test_step(self, *state_and_data):
        return super().test_step(*state_and_data[:-1], self._checked(state_and_data[-1]))

    def _checked(self, data):
        """The batch, once it has been looked at; plain images are marked as such for `call`."""
        check_batch(data, plain=self.two_views is not None)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x = x if isinstance(x, dict) else {"images": x}
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
