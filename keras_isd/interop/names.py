"""Which entry of a PyTorch state dict is which variable, and in what layout.

Layers here are named as in the authors' networks, with `_` for `.`: `layer1_0_conv1` of a backbone
is `layer1.0.conv1`, and a head's `projector_3` is `3`.
"""

import numpy as np
from keras import ops

_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# Axes of a kernel there, in the order that they have here, and the other way round.
_TO_KERAS = {4: (2, 3, 1, 0), 2: (1, 0)}
_TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0)}


def entries(model, prefix):
    """Yields pairs of a variable of a backbone or a head, and its name in a state dict."""
    for layer in model.layers:
        name = layer.name.removeprefix("projector_").removeprefix("predictor_").replace("_", ".")
        for variable in layer.weights:
            kind = "weight" if variable.name == "kernel" else variable.name
            yield variable, ".".join(filter(None, (prefix, name, _BATCH_NORM.get(kind, kind))))


def to_keras(variable, array):
    """An array of a state dict in the layout of its variable."""
    if variable.name == "kernel" and array.ndim in _TO_KERAS:
        return array.transpose(_TO_KERAS[array.ndim])
    return array


def to_torch(variable):
    """The value of a variable in the layout of a state dict."""
    array = ops.convert_to_numpy(variable)
    if variable.name == "kernel":
        array = array.transpose(_TO_TORCH[array.ndim])
    return np.ascontiguousarray(array)
