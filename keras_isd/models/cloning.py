"""A network once more, with its weights."""

import keras

from keras_isd.keras_internals import all_layers


def clone(model, name):
    """A model of the same architecture and weights, with variables of its own; None of None."""
    if model is None:
        return None
    twin = keras.models.clone_model(model)
    twin.name = name
    twin.set_weights(model.get_weights())
    for layer in all_layers(twin):
        # Normalization computes with what it derives from its weights.
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return twin
