"""Layers of Keras and keras-cv in place of an `Augmenter`."""

import inspect

import keras
from absl import logging

from keras_isd.augmentation.augmenter import Augmenter
from keras_isd.validation.images import PIXEL_RANGE


@keras.saving.register_keras_serializable("keras_isd")
class LayerChain:
    """A chain of layers with the interface of an `Augmenter`; layers draw their own random numbers.

    Args:
        layers: list of `keras.layers.Layer`.
    """

    draws = 0
    channels = None
    value_range = PIXEL_RANGE

    def __init__(self, layers):
        self.layers = layers

    def __call__(self, images, numbers=None, training=True):
        for layer in self.layers:
            # keras-cv's `Augmenter` has no argument `training`.
            named = inspect.signature(type(layer).__call__).parameters.values()
            takes_it = any(p.name == "training" or p.kind == p.VAR_KEYWORD for p in named)
            images = layer(images, training=training) if takes_it else layer(images)
        return images

    def get_config(self):
        return {"layers": [keras.saving.serialize_keras_object(layer) for layer in self.layers]}

    @classmethod
    def from_config(cls, config):
        return cls([keras.saving.deserialize_keras_object(layer) for layer in config["layers"]])


def as_views(views):
    """Converts the layers in a dict of view functions to `LayerChain`s.

    Warns that their random draws do not depend on row and epoch, so runs are not reproducible.
    """
    found = {name: as_view(view) for name, view in views.items()}
    for name, view in found.items():
        if isinstance(view, LayerChain):
            logging.warning(
                "The %s is made by %s. Keras layers draw from their own seeds, in the order of the "
                "calls, and some once per batch: a resumed run is not reproducible. Use "
                "`keras_isd.augmentation` for that.",
                name,
                ", ".join(type(layer).__name__ for layer in view.layers),
            )
    return found


def as_view(view):
    """Converts layers and chains of layers to a `LayerChain`; returns others unchanged."""
    if isinstance(view, Augmenter):
        return view
    if isinstance(view, keras.Sequential):  # its own call takes only the backend's tensors
        return LayerChain([layer for layer in view.layers if not _is_input(layer)])
    if isinstance(view, keras.layers.Layer):
        return LayerChain([view])
    if isinstance(view, (list, tuple)) and all(isinstance(x, keras.layers.Layer) for x in view):
        return LayerChain(list(view))
    return view


def _is_input(layer):
    return isinstance(layer, keras.layers.InputLayer)
