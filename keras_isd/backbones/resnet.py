"""ResNet-18, 34 and 50 (He et al., 2016), layer for layer the authors' PyTorch networks.

Layers are named as in the authors' state dict with `_` for `.`: `layer1_0_conv1`
here is `layer1.0.conv1` there, so weights map one to one.
"""

import keras
from keras import layers

from keras_isd.backbones.torch_layers import CHANNELS_LAST, MaxPooling2D, convolution
from keras_isd.layers import BatchNormalization
from keras_isd.validation.arguments import check_positive_integer

_STEMS = ("imagenet", "small")


def ResNet18(input_shape=(224, 224, 3), stem="imagenet", width=64, name="resnet18"):
    """Builds a ResNet-18, with 512 features.

    Args:
        input_shape: `(height, width, channels)` of an image; height and width may
            be None.
        stem: `"imagenet"` (7x7 convolution of stride 2, then max-pooling of
            stride 2) or `"small"` (3x3 convolution of stride 1, no pooling), the
            usual choice for CIFAR's 32x32 pixels.
        width: int, channels of the first stage; features are `8 * width`. 64 is the
            standard network, 16 a quarter of its width and a sixteenth of its cost.
        name: str, name of the model.

    Returns:
        A functional `keras.Model`, `(B, H, W, C)` to `(B, 8 * width)`: the output of
        the global average pooling, not normalised.

    Raises:
        ValueError: if `input_shape`, `stem` or `width` is not one of the above.

    Source: `models/resnet.py` of the authors, `resnet18` without its `fc`.

    Example:

    >>> keras_isd.backbones.ResNet18((32, 32, 3), stem="small").output_shape
    (None, 512)
    """
    return _resnet(_basic_block, (2, 2, 2, 2), input_shape, stem, width, name)


def ResNet34(input_shape=(224, 224, 3), stem="imagenet", width=64, name="resnet34"):
    """Builds a ResNet-34, with 512 features. See `ResNet18` for the arguments.

    Example:

    >>> keras_isd.backbones.ResNet34((64, 64, 3)).output_shape
    (None, 512)
    """
    return _resnet(_basic_block, (3, 4, 6, 3), input_shape, stem, width, name)


def ResNet50(input_shape=(224, 224, 3), stem="imagenet", width=64, name="resnet50"):
    """Builds a ResNet-50, with 2048 features. See `ResNet18` for the arguments.

    Features are `32 * width`. The stride of a block is on its 3x3 convolution, as in
    PyTorch ("v1.5"), not on the first 1x1 as in `keras.applications`.

    Example:

    >>> keras_isd.backbones.ResNet50((64, 64, 3)).output_shape
    (None, 2048)
    """
    return _resnet(_bottleneck, (3, 4, 6, 3), input_shape, stem, width, name)


def _resnet(block, depths, input_shape, stem, width, name):
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 3:
        raise ValueError(
            "Argument `input_shape` must be (height, width, channels). "
            f"Received: input_shape={input_shape}"
        )
    if stem not in _STEMS:
        raise ValueError(f"Argument `stem` must be one of {_STEMS}. Received: stem={stem!r}")
    check_positive_integer("width", width)

    images = keras.Input(tuple(input_shape), name="images")
    if stem == "imagenet":
        x = convolution(images, width, 7, stride=2, name="conv1")
    else:
        x = convolution(images, width, 3, stride=1, name="conv1")
    x = layers.ReLU(name="relu")(BatchNormalization(name="bn1")(x))
    if stem == "imagenet":
        x = MaxPooling2D(3, 2, border=1, data_format=CHANNELS_LAST, name="maxpool")(x)
    for stage, depth in enumerate(depths):
        for index in range(depth):
            stride = 2 if stage > 0 and index == 0 else 1
            x = block(x, width * 2**stage, stride, name=f"layer{stage + 1}_{index}")
    features = layers.GlobalAveragePooling2D(CHANNELS_LAST, name="avgpool")(x)
    return keras.Model(images, features, name=name)


def _basic_block(x, channels, stride, name):
    shortcut = _shortcut(x, channels, stride, name)
    x = convolution(x, channels, 3, stride, f"{name}_conv1")
    x = layers.ReLU(name=f"{name}_relu1")(BatchNormalization(name=f"{name}_bn1")(x))
    x = convolution(x, channels, 3, 1, f"{name}_conv2")
    x = BatchNormalization(name=f"{name}_bn2")(x)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, shortcut]))


def _bottleneck(x, channels, stride, name):
    shortcut = _shortcut(x, 4 * channels, stride, name)
    x = convolution(x, channels, 1, 1, f"{name}_conv1")
    x = layers.ReLU(name=f"{name}_relu1")(BatchNormalization(name=f"{name}_bn1")(x))
    x = convolution(x, channels, 3, stride, f"{name}_conv2")
    x = layers.ReLU(name=f"{name}_relu2")(BatchNormalization(name=f"{name}_bn2")(x))
    x = convolution(x, 4 * channels, 1, 1, f"{name}_conv3")
    x = BatchNormalization(name=f"{name}_bn3")(x)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, shortcut]))


def _shortcut(x, channels, stride, name):
    if stride == 1 and x.shape[-1] == channels:
        return x
    x = convolution(x, channels, 1, stride, f"{name}_downsample_0")
    return BatchNormalization(name=f"{name}_downsample_1")(x)
