"""Input validation for `fit`, `evaluate` and `predict`."""

import functools
import inspect

import keras
from absl import logging

from keras_isd import backend
from keras_isd.compat.float32 import in_float32
from keras_isd.compat.keras_internals import all_layers
from keras_isd.models.fit_errors import explain_errors, with_finite_check
from keras_isd.validation.batches import (
    batch_sizes,
    check_batch,
    image_count,
    tuple_batches,
)
from keras_isd.validation.first_batch import check_first_batch


class ValidatedModel(keras.Model):
    """A `keras.Model` that validates its input before work is lost.

    `fit`, `evaluate` and `predict` check each batch, how batches are split among devices, and that
    the loss is finite.
    """

    @in_float32
    @functools.wraps(keras.Model.fit)
    def fit(self, *args, **kwargs):
        call = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs)
        given = call.arguments
        _check_weights(given.get("y"), given.get("sample_weight"))
        given["x"] = tuple_batches(given.get("x"))
        split = given.get("validation_split")
        training = (given.get("x"), given.get("batch_size"), split)
        self._check_sizes(*training)
        self.check_training_sizes(lambda: batch_sizes(*training))
        if not isinstance(given["x"], keras.utils.PyDataset):  # its batches would be read for this
            self._warn_of_single_images(batch_sizes(*training))
        count = image_count(*training)
        if count is not None and "steps_per_epoch" not in given:
            self.check_training_images(count)
        given["x"] = check_first_batch(given.get("x"), self.plain_value_range())
        if given.get("validation_data") is not None:
            data = given["validation_data"] = tuple_batches(given["validation_data"])
            part = data[0] if isinstance(data, (tuple, list)) else data
            self._check_sizes(part, given.get("validation_batch_size") or given.get("batch_size"))
        given["callbacks"] = with_finite_check(given.get("callbacks"))
        with explain_errors(self), backend.values_kept(self):
            return super().fit(*call.args[1:], **call.kwargs)

    @in_float32
    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        _check_weights(y, kwargs.get("sample_weight"))
        x = tuple_batches(x)
        self._check_sizes(x, batch_size)
        with backend.values_kept(self):
            return super().evaluate(x, y, batch_size, *args, **kwargs)

    @in_float32
    @functools.wraps(keras.Model.predict)
    def predict(self, x, batch_size=None, *args, **kwargs):
        x = tuple_batches(x)
        self._check_sizes(x, batch_size)
        with backend.values_kept(self):
            return super().predict(x, batch_size, *args, **kwargs)

    @in_float32
    def test_step(self, *state_and_batch):  # on JAX Keras passes its state before the batch
        *state, batch = state_and_batch
        return backend.reducible_logs(super().test_step(*state, self.checked(batch)))

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing: model, optimizer and metrics are built at creation.

        TensorFlow's trainer would build them under a strategy, on a batch made by
        `strategy.reduce`, which fails in Keras 3.15 for the dicts of several workers
        (`backend/tensorflow/trainer.py`).
        """

    def checked(self, batch):
        """Validates a batch and returns it; plain images are wrapped in a dict for `call`."""
        check_batch(batch, self.check_views, accepts_images=self.takes_plain_images())
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        x = x if isinstance(x, dict) else {"images": x}
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def check_views(self, views):
        """Raises a ValueError unless the method accepts the dict of a batch."""

    def state_variables(self):
        """The variables that a checkpoint must hold to resume a run."""
        return self.variables

    def takes_plain_images(self):
        """Whether the model makes the two views of plain images in the step."""
        return False

    def plain_value_range(self):
        """The value range of plain images that the model takes; None if it takes none."""
        return None

    def check_training_sizes(self, sizes):
        """Raises a ValueError if the method cannot train on batches of sizes `sizes()`."""

    def check_training_images(self, count):
        """Checks the number of images of an epoch, if it is known."""

    def _warn_of_single_images(self, sizes):
        normalized = any(isinstance(x, keras.layers.BatchNormalization) for x in all_layers(self))
        if 1 in sizes and normalized:
            logging.warning(
                "A batch of one image has no statistics for batch normalisation: the output is "
                "constant, and the step teaches nothing. Drop a last batch of one, or change the "
                "batch size. Received: batches of %s images",
                sorted(sizes, key=str),
            )

    def _check_sizes(self, x, *sizes):
        """Raises a ValueError for batches that cannot be split among all devices."""
        backend.check_batch_sizes(self, lambda: batch_sizes(x, *sizes))


def _check_weights(labels, weights):
    """Raises a ValueError for weights without labels, which Keras drops silently.

    See `pack_x_y_sample_weight` in Keras' `trainers/data_adapters/data_adapter_utils.py`.
    """
    if weights is not None and labels is None:
        raise ValueError(
            "Argument `sample_weight` must be given with labels `y`, without which Keras drops it: "
            "give -1 for unknown labels. Received: y=None, sample_weight of "
            f"{type(weights).__name__}"
        )
