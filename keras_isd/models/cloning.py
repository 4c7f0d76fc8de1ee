"""A network once more, with its weights."""

import keras
import numpy as np
from keras import ops

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


def draw_apart(model):
    """Lets the random layers of a copy draw other numbers than those of the original.

    A layer with a seed, such as `Dropout(0.2, seed=1)`, has it in the copy too, and would drop the
    same units in both. The new seeds depend on the old ones alone, so that a run can be made again.
    """
    for layer in all_layers(model):
        for generator in vars(layer).values():
            if isinstance(generator, keras.random.SeedGenerator):
                seed = ops.convert_to_numpy(generator.state)
                apart = np.random.default_rng([int(word) for word in seed]).integers(2**31, size=2)
                generator.state.assign(np.array([apart[0], seed[1]]).astype(seed.dtype))
