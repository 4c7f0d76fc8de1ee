"""Pretrained networks as teachers: models from images in [0, 255] to features `(B, D)`."""

import inspect
import sys

import keras
from absl import logging

from keras_isd.compat.optional_imports import needs_extra

FIRST_LAYERS = 8
# Layers of Keras, and operations of a view that `keras-isd export --include_view` adds.
RESCALING = {"Rescaling", "Normalization", "Subtract", "Multiply", "Divide", "TrueDivide"}


def make_teacher(name, size, weights="imagenet"):
    """Makes a pretrained network by its name, as a frozen teacher.

    Weights that are not on this machine are downloaded by Keras or keras-hub.

    Args:
        name: str, a `.keras` file of a model from images in [0, 255] to features, a network of
            `keras.applications` such as `"EfficientNetV2B0"`, or a preset of keras-hub such as
            `"dinov2_small"` (extra `[hub]`).
        size: int, side of its images in pixels; ignored for a file.
        weights: weights of a network of `keras.applications`; None for random ones. Defaults to
            `"imagenet"`.

    Returns:
        A `keras.Model`, `(B, size, size, 3)` in [0, 255] to `(B, D)`.

    Raises:
        ImportError: if a preset is given and keras-hub is not installed.
        OSError: if weights cannot be downloaded.
        ValueError: if the name is unknown.

    Example:

    >>> teacher = keras_isd.training.make_teacher("MobileNetV3Small", 32, weights=None)
    >>> teacher.output_shape
    (None, 576)
    """
    if name.endswith(".keras"):
        network = keras.models.load_model(name)
        if not takes_pixels(network):
            logging.warning(
                "%s gets images in [0, 255], and no first layer of it rescales them: was it "
                "trained on other values? `keras-isd export --include_view` adds a run's view.",
                name,
            )
        return network
    if inspect.isfunction(getattr(keras.applications, name, None)):
        return _load_application(getattr(keras.applications, name), size, weights)
    return _load_preset(name, size)


def takes_pixels(network):
    """Whether one of a network's first layers rescales images, so that it takes pixels.

    Args:
        network: `keras.Model`.

    Returns:
        bool; False also for a subclassed model, whose order of layers is unknown.
    """
    for layer in getattr(network, "operations", ())[:FIRST_LAYERS]:
        if type(layer).__name__ in RESCALING or (
            isinstance(layer, keras.Model) and takes_pixels(layer)
        ):
            return True
    return False


def _load_application(make, size, weights):
    pixels = keras.Input((size, size, 3))
    arguments = {"include_top": False, "pooling": "avg", "input_shape": tuple(pixels.shape[1:])}
    try:
        network = make(weights=weights, **arguments)
    except Exception as error:  # Keras raises no specific class
        if "URL fetch failure" not in str(error):
            raise
        raise OSError(
            f"The weights of {make.__name__} are not stored here and cannot be downloaded: {error}"
        ) from error
    preprocess = sys.modules[make.__module__].preprocess_input
    return keras.Model(pixels, network(preprocess(pixels)))


def _load_preset(preset, size):
    with needs_extra("hub"):
        import keras_hub
    try:
        backbone = keras_hub.models.Backbone.from_preset(preset, image_shape=(size, size, 3))
        converter = keras_hub.layers.ImageConverter.from_preset(preset)
    except (ValueError, OSError) as error:
        raise ValueError(
            "Argument `name` must be a .keras file, a network of keras.applications or a preset of "
            f"keras-hub. Received: {preset} ({error})"
        ) from error
    pixels = keras.Input((size, size, 3))
    # The converter without its resizing: images already have the size.
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    scaled = keras.layers.Rescaling(scale, offset)(pixels)
    features = backbone(keras.tree.pack_sequence_as(backbone.input, [scaled]))
    if len(features.shape) == 4:  # a feature map
        features = keras.layers.GlobalAveragePooling2D()(features)
    elif len(features.shape) == 3:  # tokens; the first one describes the whole image
        features = features[:, 0]
    return keras.Model(pixels, features)
