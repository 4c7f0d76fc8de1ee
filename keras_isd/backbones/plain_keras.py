"""Backbones of Keras' own layers alone, to be loaded where this package is not."""

import keras

from keras_isd.backbones.torch_layers import Conv2D, MaxPooling2D
from keras_isd.layers import BatchNormalization

_PLAIN = {
    BatchNormalization: keras.layers.BatchNormalization,
    Conv2D: keras.layers.Conv2D,
}


def to_plain_keras(backbone):
    """Makes a copy of a backbone of Keras' own layers, which gives the same features.

    `keras.models.load_model` reads a file of this package's models after `import keras_isd`, since
    they have its batch normalisation, convolution and pooling. A copy in plain Keras needs no such
    import, nor the package. Its features are the same; trained further it differs in how the moving
    variance follows that of the batches (Keras takes the biased one), and on PyTorch in speed.

    Args:
        backbone: built functional or sequential `keras.Model`, such as `model.student_backbone`.

    Returns:
        A `keras.Model`, of the same name, layers and weights.

    Example:

    >>> backbone = keras_isd.backbones.ConvNet((32, 32, 3))
    >>> plain = keras_isd.backbones.to_plain_keras(backbone)
    >>> type(plain.get_layer("bn0")) is keras.layers.BatchNormalization
    True
    """
    plain = keras.models.clone_model(backbone, clone_function=_plain_layer, recursive=True)
    plain.name = backbone.name
    plain.set_weights(backbone.get_weights())
    return plain


def _plain_layer(layer):
    config = layer.get_config()
    if type(layer) is BatchNormalization:
        config["synchronized"] = False  # Keras' own takes it on TensorFlow alone
    if type(layer) is MaxPooling2D:
        return _plain_pooling(config)
    return _PLAIN.get(type(layer), type(layer)).from_config(config)


def _plain_pooling(config):
    """A border is zeros, which after a ReLU are as good as what is never the largest."""
    border = config.pop("border")
    pooling = keras.layers.MaxPooling2D.from_config(config)
    if not border:
        return pooling
    around = keras.layers.ZeroPadding2D(border, data_format=config["data_format"])
    return keras.Sequential([around, pooling], name=pooling.name)
