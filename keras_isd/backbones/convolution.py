"""The convolution that every backbone here is made of."""

import keras
from keras import layers

# Whatever `keras.config.image_data_format()` is: images are `(B, H, W, C)` in all of this package.
CHANNELS_LAST = "channels_last"


def convolution(x, channels, kernel_size, stride, name):
    """Convolves without bias, with PyTorch's padding and the authors' initial weights.

    Padding is explicit: Keras' `padding="same"` pads strided convolutions on another side, and
    `torch.compile` fails on it.
    """
    if kernel_size > 1:
        x = layers.ZeroPadding2D(kernel_size // 2, data_format=CHANNELS_LAST, name=f"{name}_pad")(x)
    return layers.Conv2D(
        channels,
        kernel_size,
        stride,
        data_format=CHANNELS_LAST,
        use_bias=False,
        # normal with variance 2 / (k * k * output channels), as in the authors' `ResNet.__init__`
        kernel_initializer=keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal"
        ),
        name=name,
    )(x)
