"""The convolution that every backbone here is made of."""

import keras
from keras import layers

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
