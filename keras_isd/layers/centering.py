"""Takes the mean of features off them."""

import keras
from keras import ops

from keras_isd import backend
from keras_isd.compat.float32 import in_float32
from keras_isd.validation.arguments import check_positive_integer

# Of so many images the mean is known, and a later batch counts no less than among them.
MOST_IMAGES = 1_000_000


@keras.saving.register_keras_serializable("keras_isd")
class Centering(keras.layers.Layer):
    """Takes the mean of features off them: of all that it has seen in training, or a given one.

    Features that are never negative, as they are behind a ReLU, all point the same way: without
    their mean they differ.

    Args:
        dim: int >= 1, D.
        center: `(D,)` array, which then stays; or None.

    Attributes:
        mean: `(D,)` float32, what is taken off.
        count: `()` float32, of how many images it is the mean.

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
            self._follow(ops.stop_gradient(features))
        return features - self.mean

    def _follow(self, features):
        features = backend.all_gather(features)  # every replica takes those of all
        new = ops.cast(ops.shape(features)[0], "float32")
        share = new / (self.count + new)
        self.mean.assign(self.mean + share * (ops.mean(features, axis=0) - self.mean))
        self.count.assign(ops.minimum(self.count + new, MOST_IMAGES))

    def get_config(self):
        center = ops.convert_to_numpy(self.mean).tolist() if self.fixed else None
        return {**super().get_config(), "dim": self.dim, "center": center}
