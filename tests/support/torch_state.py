"""Compares the authors' PyTorch state with the weights of a model."""

import keras
import numpy as np

from keras_isd.interop.state_dict import entries, to_keras


def load(model, state, prefix):
    for variable, name in entries(model, prefix):
        variable.assign(to_keras(variable, state[name]))


def largest_difference(model, state, prefix):
    """Largest absolute difference between the model's weights and the state's."""
    differences = [
        np.abs(keras.ops.convert_to_numpy(variable) - to_keras(variable, state[name])).max()
        for variable, name in entries(model, prefix)
    ]
    assert differences, f"no weights under {prefix}"
    return max(differences)
