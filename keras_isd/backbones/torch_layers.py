"""The convolution that every backbone here is made of."""

import keras
from keras import layers, ops

from keras_isd import backend

# Whatever `keras.config.image_data_format()` is: images are `(B, H, W, C)` in all of this package.
CHANNELS_LAST = "channels_last"


@keras.saving.register_keras_serializable("keras_isd")
class Conv2D(layers.Conv2D):
    """Keras' convolution, which on PyTorch makes no copies of its input.

    Keras 3.15 lays each input out with the channels first, and back again for the kernel of PyTorch
    that takes them last. On a ResNet-18 of 32 pixels that was a quarter of the training step. What
    the backbones here do not use, such as groups, is left to Keras.
    """

    def convolution_op(self, inputs, kernel):
        usual = (
            self.data_format == CHANNELS_LAST
            and self.groups == 1
            and set(self.dilation_rate) == {1}
            and (self.padding == "valid" or set(self.strides) == {1})  # else on another side
        )
        if backend.convolve is None or not usual:
            return super().convolution_op(inputs, kernel)
        return backend.convolve(self, inputs, kernel)


def convolution(x, channels, kernel_size, stride, name):
    """Convolves without bias, with PyTorch's padding and the authors' initial weights.

    With a stride padding is explicit: Keras' `padding="same"` is then on another side.
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
