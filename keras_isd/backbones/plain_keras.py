"""Copies of backbones in plain Keras, which load without this package."""

import keras

from keras_isd.backbones.torch_layers import Conv2D, MaxPooling2D
from keras_isd.layers import BatchNormalization

_PLAIN = {
    BatchNormalization: keras.layers.BatchNormalization,
    Conv2D: keras.layers.Conv2D,
}


def to_plain_keras(backbone):
    """Copies a backbone with Keras' own layers, for the same features.

    Files of this package's models have its batch normalisation, convolution and pooling layers, so
    `keras.models.load_model` needs `import keras_isd` first. A copy in plain Keras loads without
    the package. Its features are the same; in further training the moving variance differs (Keras
    uses the biased variance of batches), and on PyTorch the speed.

    Args:
        backbone: built functional or sequential `keras.Model`, such as `model.student_backbone`.

    Returns:
        A `keras.Model` with the same name, layer names and weights.

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
        config["synchronized"] = False  # Keras' own layer takes it on TensorFlow only
    if type(layer) is MaxPooling2D:
        return _plain_pooling(config)
    return _PLAIN.get(type(layer), type(layer)).from_config(config)


def _plain_pooling(config):
    """Pads with zeros, which after a ReLU never exceed the maximum."""
    border = config.pop("border")
    pooling = keras.layers.MaxPooling2D.from_config(config)
    if not border:
        return pooling
    around = keras.layers.ZeroPadding2D(border, data_format=config["data_format"])
    return keras.Sequential([around, pooling], name=pooling.name)
