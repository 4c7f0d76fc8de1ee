"""Layers of Keras and keras-cv, taken where an `Augmenter` is."""

import inspect

import keras
from absl import logging

from keras_isd.augmentation.augmenter import Augmenter
from keras_isd.validation.images import PIXEL_RANGE


@keras.saving.register_keras_serializable("keras_isd")
class LayerChain:
    """Layers one after the other, called as an `Augmenter` is; the numbers they draw are their own.

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
            # An `Augmenter` of keras-cv knows of no training.
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
    """A dict of what makes views, with layers and chains of them as `LayerChain`s.

    What such a layer cannot promise is said: its draws are not those of a row and an epoch.
    """
    found = {name: as_view(view) for name, view in views.items()}
    for name, view in found.items():
        if isinstance(view, LayerChain):
            logging.warning(
                "The %s is made by %s: Keras' layers draw from seeds of their own, in the order of "
                "the calls and some once for a batch. So a run that is resumed, or has other "
                "batches, has other views, which it has not with `keras_isd.augmentation`.",
                name,
                ", ".join(type(layer).__name__ for layer in view.layers),
            )
    return found


def as_view(view):
    """What makes a view; layers and chains of them as a `LayerChain`."""
    if isinstance(view, Augmenter):
        return view
    if isinstance(view, keras.Sequential):  # whose own call takes tensors of the backend alone
        return LayerChain([layer for layer in view.layers if not _is_input(layer)])
    if isinstance(view, keras.layers.Layer):
        return LayerChain([view])
    if isinstance(view, (list, tuple)) and all(isinstance(x, keras.layers.Layer) for x in view):
        return LayerChain(list(view))
    return view


def _is_input(layer):
    return isinstance(layer, keras.layers.InputLayer)
