"""Names and layouts of the authors' PyTorch state, for tests that compare with it."""

import re

import keras
import numpy as np

BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def torch_arrays(model, prefix):
    """Yields (variable, torch name, from-torch transpose) of a backbone or a head.

    A backbone's `layer1_0_conv1` is `PREFIX.layer1.0.conv1`; a head's `projector_3` is `PREFIX.3`.
    """
    for layer in model.layers:
        name = re.sub("^(projector|predictor)_", "", layer.name).replace("_", ".")
        for variable in layer.weights:
            kind = variable.name
            if kind == "kernel":
                axes = (2, 3, 1, 0) if len(variable.shape) == 4 else (1, 0)
                yield variable, f"{prefix}.{name}.weight", axes
            else:
                yield variable, f"{prefix}.{name}.{BATCH_NORM.get(kind, kind)}", None


def load(model, state, prefix):
    for variable, name, axes in torch_arrays(model, prefix):
        variable.assign(state[name].transpose(axes) if axes else state[name])


def largest_difference(model, state, prefix, skip=()):
    """Largest absolute difference between the model's weights and the state's."""
    differences = [
        np.abs(
            keras.ops.convert_to_numpy(variable)
            - (state[name].transpose(axes) if axes else state[name])
        ).max()
        for variable, name, axes in torch_arrays(model, prefix)
        if not name.endswith(tuple(skip))
    ]
    assert differences, f"nothing under {prefix}"
    return max(differences)
