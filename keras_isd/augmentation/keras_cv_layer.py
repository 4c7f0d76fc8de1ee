"""The operations as keras-cv layers, for pipelines of keras-cv layers."""

import keras
import keras_cv

from keras_isd.augmentation.array_namespace import array_namespace
from keras_isd.augmentation.augmenter import Augmenter
from keras_isd.compat.quiet_tensorflow import tf


@keras.saving.register_keras_serializable("keras_isd")
class AugmentationLayer(keras_cv.layers.VectorizedBaseImageAugmentationLayer):
    """Wraps an operation of `keras_isd.augmentation`, or an `Augmenter`, as a keras-cv layer.

    Inputs and outputs are those of keras-cv's own layers: images, or dicts with "images", single or
    in a batch. It runs in tf.data under any backend. Unlike keras-cv 0.9's layers it has
    torchvision's distributions, is reproducible with a seed, and computes in float32 under a mixed
    policy.

    keras-cv's own layers cannot make the paper's views: its colour jitter adds brightness and has a
    fixed order, its crop draws the aspect ratio uniformly and, if seeded, correlated with the area,
    and its blur pads with zeros.

    Args:
        operation: an operation such as `keras_isd.augmentation.ColorJitter()`, or an `Augmenter`
            such as `keras_isd.augmentation.strong(32)`.
        seed: int, fixes the sequence of random draws, or None. Defaults to None.
        **kwargs: `name`.

    Example:

    >>> layer = keras_isd.augmentation.AugmentationLayer(keras_isd.augmentation.Grayscale(1.0))
    >>> grey = layer({"images": np.random.rand(2, 8, 8, 3), "labels": np.array([3, 5])})
    >>> sorted(grey), tuple(grey["images"].shape)
    (['images', 'labels'], (2, 8, 8, 3))
    """

    def __init__(self, operation, seed=None, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        # keras-cv treats the seed 0 as no seed.
        self._random_generator = (
            tf.random.get_global_generator()
            if seed is None
            else tf.random.Generator.from_seed(seed)
        )
        self.operation = operation
        self.seed = seed

    def get_random_transformation_batch(self, batch_size, images=None, **kwargs):
        numbers = self._random_generator.uniform((batch_size, self.operation.draws))
        if isinstance(self.operation, Augmenter):
            return {"numbers": numbers}
        height, width = tf.unstack(tf.shape(images)[1:3])
        return self.operation.factors(array_namespace(numbers), numbers, height, width)

    def augment_images(self, images, transformations, **kwargs):
        if isinstance(self.operation, Augmenter):
            return self.operation.apply(images, **transformations)
        return self.operation.apply(array_namespace(images), images, **transformations)

    def augment_labels(self, labels, transformations, **kwargs):
        return labels

    def get_config(self):
        operation = keras.saving.serialize_keras_object(self.operation)
        config = {**super().get_config(), "operation": operation, "seed": self.seed}
        del config["dtype"]
        return config

    @classmethod
    def from_config(cls, config):
        operation = keras.saving.deserialize_keras_object(config["operation"])
        return cls(**{**config, "operation": operation})
