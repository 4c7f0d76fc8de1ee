"""Convolution and max-pooling with PyTorch's padding, and its speed on the PyTorch backend."""

import keras
from keras import layers, ops

from keras_isd import backend

# Images are `(B, H, W, C)` in all of this package, for any `keras.config.image_data_format()`.
CHANNELS_LAST = "channels_last"


@keras.saving.register_keras_serializable("keras_isd")
class Conv2D(layers.Conv2D):
    """Keras' convolution, without copies of its input on PyTorch.

    Keras 3.15 copies each input to channels first, and back for PyTorch's kernel that takes
    channels last. For a ResNet-18 at 32 pixels that took a quarter of the training step. Options
    that the backbones here do not use, such as groups, are left to Keras.
    """

    def convolution_op(self, inputs, kernel):
        usual = (
            self.data_format == CHANNELS_LAST
            and self.groups == 1
            and set(self.dilation_rate) == {1}
            and (self.padding == "valid" or set(self.strides) == {1})  # else Keras pads otherwise
        )
        if backend.convolve is None or not usual:
            return super().convolution_op(inputs, kernel)
        return backend.convolve(self, inputs, kernel)


def convolution(x, channels, kernel_size, stride, name):
    """Convolves without bias, with PyTorch's padding and the authors' initial weights.

    With a stride the padding is explicit: Keras' `padding="same"` then pads other sides.
    """
    padding = "same" if stride == 1 else "valid"
    if kernel_size > 1 and stride > 1:
        x = layers.ZeroPadding2D(kernel_size // 2, data_format=CHANNELS_LAST, name=f"{name}_pad")(x)
    return Conv2D(
        channels,
        kernel_size,
        stride,
        padding,
        data_format=CHANNELS_LAST,
        use_bias=False,
        # normal with variance 2 / (k * k * output channels), as in the authors' `ResNet.__init__`
        kernel_initializer=keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal"
        ),
        name=name,
    )(x)


@keras.saving.register_keras_serializable("keras_isd")
class MaxPooling2D(layers.MaxPooling2D):
    """Keras' max-pooling with PyTorch's padding, without copies of its input on PyTorch.

    Keras 3.15 copies the input to channels first, in which PyTorch's kernel takes six times as
    long.

    Args:
        border: int, rows and columns of minus infinity added on every side: PyTorch's `padding`. A
            padding layer would copy the largest feature map of a ResNet. Channels last only.
            Defaults to 0.
        **kwargs: see `keras.layers.MaxPooling2D`.
    """

    def __init__(self, *args, border=0, **kwargs):
        super().__init__(*args, **kwargs)
        if border and self.data_format != CHANNELS_LAST:
            raise ValueError(
                "Argument `border` must be 0 unless channels are last. "
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
