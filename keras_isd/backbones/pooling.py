"""Max-pooling of feature maps whose channels are last."""

import keras
from keras import layers, ops

from keras_isd import backend
from keras_isd.backbones.convolution import CHANNELS_LAST


@keras.saving.register_keras_serializable("keras_isd")
class MaxPooling2D(layers.MaxPooling2D):
    """Keras' max-pooling, with a border as PyTorch has, and on PyTorch without copies of its input.

    Keras 3.15 lays the input out with the channels first, where PyTorch's kernel takes six times as
    long. Padding is left to Keras.

    Args:
        border: int, rows and columns on every side that are never the largest: PyTorch's `padding`.
            A layer of its own for them would copy what is the largest feature map of a ResNet.
            With the channels last alone.
        **kwargs: of `keras.layers.MaxPooling2D`.
    """

    def __init__(self, *args, border=0, **kwargs):
        super().__init__(*args, **kwargs)
        if border and self.data_format != CHANNELS_LAST:
            raise ValueError(
                "Argument `border` needs channels that are last. "
                f"Received: border={border}, data_format={self.data_format!r}"
            )
        self.border = border

    def call(self, inputs):
        usual = self.data_format == CHANNELS_LAST and self.padding == "valid"
        if backend.max_pool is not None and usual:
            return backend.max_pool(self, inputs)
        if self.border:
            around = [(0, 0), (self.border, self.border), (self.border, self.border), (0, 0)]
            inputs = ops.pad(inputs, around, constant_values=-float("inf"))
        return super().call(inputs)

    def compute_output_shape(self, input_shape):
        rows, height, width, channels = input_shape
        height, width = (n if n is None else n + 2 * self.border for n in (height, width))
        return super().compute_output_shape((rows, height, width, channels))

    def get_config(self):
        return {**super().get_config(), "border": self.border}
