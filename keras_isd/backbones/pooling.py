"""Max-pooling of feature maps whose channels are last."""

import keras
from keras import layers

from keras_isd import backend
from keras_isd.backbones.convolution import CHANNELS_LAST


@keras.saving.register_keras_serializable("keras_isd")
class MaxPooling2D(layers.MaxPooling2D):
    """Keras' max-pooling, which on PyTorch makes no copy of its input.

    Keras 3.15 lays the input out with the channels first, where PyTorch's kernel takes six times as
    long. Padding is left to Keras.
    """

    def call(self, inputs):
        usual = self.data_format == CHANNELS_LAST and self.padding == "valid"
        if backend.max_pool is None or not usual:
            return super().call(inputs)
        return backend.max_pool(self, inputs)
