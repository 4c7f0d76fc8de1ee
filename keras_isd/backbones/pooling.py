"""Max-pooling of feature maps whose channels are last."""

import keras
from keras import layers

from keras_isd import backend


@keras.saving.register_keras_serializable("keras_isd")
class MaxPooling2D(layers.MaxPooling2D):
    """Keras' max-pooling, which on PyTorch makes no copy of its input.

    Keras 3.15 lays the input out with the channels first, where PyTorch's kernel takes six times as
    long: that was a seventh of the step of a ResNet-18 at 224 pixels.
    """

    def call(self, inputs):
        return super().call(inputs) if backend.max_pool is None else backend.max_pool(self, inputs)
