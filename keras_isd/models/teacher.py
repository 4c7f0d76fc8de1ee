"""Copies of networks for the teacher, and how its parameters pair with the student's."""

import keras
import numpy as np
from keras import ops

from keras_isd.compat.keras_internals import all_layers, own_trainable_variables


def pair_parameters(student, teacher):
    """Yields pairs of parameters of a model and its copy, without moving statistics."""
    if student is None:
        return
    parameters = {id(v) for layer in all_layers(teacher) for v in own_trainable_variables(layer)}
    for pair in zip(student.weights, teacher.weights, strict=True):
        if id(pair[1]) in parameters:
            yield pair


def match_freezing(student, teacher):
    """Sets the layers of a copy to trainable or frozen as in its original."""
    if student is not None:
        # Containers come before their contents, so the innermost setting is applied last.
        for one, other in zip(all_layers(student), all_layers(teacher), strict=True):
            other.trainable = one.trainable


def freeze(pairs):
    """Freezes the teacher's parameters, the second of each pair.

    Each variable is frozen, and no layer: frozen batch normalisation would use its moving
    statistics.
    """
    for _, variable in pairs:
        variable.trainable = False


def clone(model, name):
    """Clones a model with its weights; None stays None."""
    if model is None:
        return None
    twin = keras.models.clone_model(model)
    twin.name = name
    twin.set_weights(model.get_weights())
    for layer in all_layers(twin):
        # Normalization computes with values derived from its weights.
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return twin


def reseed(model):
    """Gives the random layers of a copy other seeds than the original's.

    A layer with a seed, such as `Dropout(0.2, seed=1)`, would drop the same units in both. The new
    seeds depend only on the old ones, so runs are reproducible.
    """
    for layer in all_layers(model):
        for generator in vars(layer).values():
            if isinstance(generator, keras.random.SeedGenerator):
                seed = ops.convert_to_numpy(generator.state)
                apart = np.random.default_rng([int(word) for word in seed]).integers(2**31, size=2)
                generator.state.assign(np.array([apart[0], seed[1]]).astype(seed.dtype))
