"""The teacher beside its student: which parameter is whose, and what of it is trained."""

import keras
import numpy as np
from keras import ops

from keras_isd.compat.keras_internals import all_layers, own_trainable_variables


def pair_parameters(student, teacher):
    """Yields pairs of the parameters of a model and of its copy, moving statistics left out."""
    if student is None:
        return
    parameters = {id(v) for layer in all_layers(teacher) for v in own_trainable_variables(layer)}
    for pair in zip(student.weights, teacher.weights, strict=True):
        if id(pair[1]) in parameters:
            yield pair


def match_freezing(student, teacher):
    """Freezes and thaws the layers of a copy as those of its original are by now."""
    if student is not None:
        # Containers come before what they contain, so the innermost setting stands.
        for one, other in zip(all_layers(student), all_layers(teacher), strict=True):
            other.trainable = one.trainable


def freeze(pairs):
    """Freezes the teacher's parameters, the second of each pair.

    Variable by variable: a layer that is frozen whole, if it is batch normalisation, would run on
    its moving statistics.
    """
    for _, variable in pairs:
        variable.trainable = False


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
