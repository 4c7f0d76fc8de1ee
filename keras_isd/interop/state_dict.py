"""State dicts in files that PyTorch has written: read without running what they hold."""

import argparse
import pickle

from keras_isd.compat.optional_imports import needs_extra

# What PyTorch's reader of pickles raises at bytes that are no pickle.
_MALFORMED = (ValueError, TypeError, AttributeError, LookupError, EOFError)


def import_torch():
    """PyTorch, or an ImportError that says how to get it."""
    with needs_extra("torch"):
        import torch
    return torch


def read_state_dict(path):
    """Arrays of a checkpoint by name, without `module.`, and the arguments of its script.

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
            "Expected a file of tensors and settings that PyTorch has written; what is in it is "
            f"not run. Received: {path}, which PyTorch cannot read: {type(error).__name__}: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error
    found = file if isinstance(file, dict) else {}
    state = found.get("state_dict", found.get("model", found))
    if not (isinstance(state, dict) and state and all(map(torch.is_tensor, state.values()))):
        raise ValueError(
            'Expected a state dict, or a dict with one under "state_dict" or "model". '
            f"Received: {path}, with {list(found) or type(file).__name__}"
        )
    state = {str(name).replace("module.", ""): _as_array(value) for name, value in state.items()}
    settings = vars(found["opt"]) if isinstance(found.get("opt"), argparse.Namespace) else {}
    return state, settings


def _as_array(tensor):
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
