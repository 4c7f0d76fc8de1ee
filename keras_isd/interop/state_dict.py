"""State dicts: reading their files, and the names and layouts of their entries.

Layers are named as in the authors' networks, with `_` for `.`: `layer1_0_conv1` of a backbone is
`layer1.0.conv1`, and a head's `projector_3` is `3`.
"""

import argparse
import pickle

import numpy as np
from keras import ops

from keras_isd.compat.optional_imports import needs_extra

_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# Permutations of a kernel's axes from PyTorch to Keras, and back.
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
    """Converts an array of a state dict to the layout of its variable."""
    if variable.name == "kernel" and array.ndim in _TO_KERAS:
        return array.transpose(_TO_KERAS[array.ndim])
    return array


def to_torch(variable):
    """Converts the value of a variable to the layout of a state dict."""
    array = ops.convert_to_numpy(variable)
    if variable.name == "kernel":
        array = array.transpose(_TO_TORCH[array.ndim])
    return np.ascontiguousarray(array)


# Errors of PyTorch's pickle reader for bytes that are no pickle.
_MALFORMED = (ValueError, TypeError, AttributeError, LookupError, EOFError)


def import_torch():
    """Imports PyTorch, or raises an ImportError that names the extra."""
    with needs_extra("torch"):
        import torch
    return torch


def read_state_dict(path):
    """Reads the arrays of a checkpoint by name, without `module.`, and its script's arguments.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds other than tensors and settings.
    """
    torch = import_torch()
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            file = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError):
        raise
    except (RuntimeError, pickle.UnpicklingError, OSError, *_MALFORMED) as error:
        raise ValueError(
            "Argument `path` must be a PyTorch file of tensors and settings, without code. "
            f"Received: {path}, which PyTorch cannot read: {type(error).__name__}: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error
    found = file if isinstance(file, dict) else {}
    state = found.get("state_dict", found.get("model", found))
    if not (isinstance(state, dict) and state and all(map(torch.is_tensor, state.values()))):
        raise ValueError(
            'Argument `path` must have a state dict, or one under "state_dict" or "model". '
            f"Received: {path}, with {list(found) or type(file).__name__}"
        )
    state = {str(name).replace("module.", ""): _as_array(value) for name, value in state.items()}
    settings = vars(found["opt"]) if isinstance(found.get("opt"), argparse.Namespace) else {}
    return state, settings


def _as_array(tensor):
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
