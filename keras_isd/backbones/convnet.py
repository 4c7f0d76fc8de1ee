"""A plain convolutional network, for small images and small machines."""

import keras
from keras import layers

from keras_isd.backbones.torch_layers import CHANNELS_LAST, convolution
from keras_isd.layers import BatchNormalization


def ConvNet(input_shape, filters=(32, 64, 128), name="convnet"):
    """Builds a stack of 3x3 convolutions, with as many features as the last has filters.

    Each convolution is followed by batch normalisation and ReLU; each but the first halves
    height and width; global average pooling comes last. In a few thousand steps it learns more
    than a narrow ResNet; with a GPU and hundreds of epochs use `ResNet18`.

    Args:
        input_shape: `(height, width, channels)` of an image; height and width may
            be None.
        filters: tuple of ints, channels of each convolution.
        name: str, name of the model.

    Returns:
        A functional `keras.Model`, `(B, H, W, C)` to `(B, filters[-1])`.

    Raises:
        ValueError: if `filters` is empty or has a value that is not a positive integer.

    Example:

    >>> keras_isd.backbones.ConvNet((32, 32, 3)).output_shape
    (None, 128)
    """
    if not filters or not all(isinstance(f, int) and f > 0 for f in filters):
        raise ValueError(
            f"Argument `filters` must be positive integers. Received: filters={filters!r}"
        )
    x = images = keras.Input(tuple(input_shape), name="images")
    for index, channels in enumerate(filters):
        x = convolution(x, channels, 3, stride=2 if index else 1, name=f"conv{index}")
        x = layers.ReLU(name=f"relu{index}")(BatchNormalization(name=f"bn{index}")(x))
    features = layers.GlobalAveragePooling2D(CHANNELS_LAST, name="avgpool")(x)
    return keras.Model(images, features, name=name)
