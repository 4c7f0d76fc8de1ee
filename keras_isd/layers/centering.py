"""Subtracts the mean of features."""

import keras
from keras import ops

from keras_isd import backend
from keras_isd.compat.float32 import in_float32
from keras_isd.validation.arguments import check_positive_integer

# The mean counts at most so many images, so that later batches keep some weight.
MAX_IMAGES = 1_000_000


@keras.saving.register_keras_serializable("keras_isd")
class Centering(keras.layers.Layer):
    """Subtracts the mean of features: their running mean over training, or a fixed centre.

    Non-negative features, such as the output of a ReLU, all have similar directions; centred ones
    differ.

    Args:
        dim: int >= 1, D.
        center: `(D,)` array, a fixed centre. Defaults to None: the running mean.

    Attributes:
        mean: `(D,)` float32, the offset that is subtracted.
        count: `()` float32, number of images in the mean.

    Example:

    >>> layer = keras_isd.layers.Centering(2)
    >>> keras.ops.convert_to_numpy(layer(np.array([[1.0, 5.0], [3.0, 5.0]]), training=True))
    array([[-1.,  0.],
           [ 1.,  0.]], dtype=float32)
    """

    def __init__(self, dim, center=None, **kwargs):
        check_positive_integer("dim", dim)
        super().__init__(**{"dtype": "float32", **kwargs})
        self.dim = int(dim)
        self.fixed = center is not None
        zeros = {"initializer": "zeros", "trainable": False, "autocast": False}
        self.mean = self.add_weight(name="mean", shape=(dim,), **zeros)
        self.count = self.add_weight(name="count", shape=(), **zeros)
        if self.fixed:
            self.mean.assign(center)
        self.built = True

    @in_float32
    def call(self, features, training=False):
        features = ops.cast(features, "float32")
        if training and not self.fixed:
            self._update_mean(ops.stop_gradient(features))
        return features - self.mean

    def _update_mean(self, features):
        features = backend.all_gather(features)  # the same mean on every replica
        new = ops.cast(ops.shape(features)[0], "float32")
        share = new / (self.count + new)
        self.mean.assign(self.mean + share * (ops.mean(features, axis=0) - self.mean))
        self.count.assign(ops.minimum(self.count + new, MAX_IMAGES))

    def get_config(self):
        center = ops.convert_to_numpy(self.mean).tolist() if self.fixed else None
        return {**super().get_config(), "dim": self.dim, "center": center}
