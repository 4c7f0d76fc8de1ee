"""Checkpoints of PyTorch training scripts, read into models and written from them."""

import argparse

import numpy as np
from keras import ops

from keras_isd.files import atomic_path
from keras_isd.interop.architecture import build
from keras_isd.interop.methods import script_arguments, script_method
from keras_isd.interop.state_dict import entries, import_torch, read_state_dict, to_keras, to_torch


def load_torch_checkpoint(path, input_shape=None):
    """Loads a checkpoint of the authors' PyTorch code as a model.

    It restores student, teacher, heads, queue, labels and pointer; temperatures and momentum come
    from the script's arguments in the file, or from the script's defaults. The optimizer's state is
    ignored. Features equal the PyTorch network's within 1e-4.

    Checkpoints of MoCo v2 and BYOL with the same names become a `keras_isd.baselines.MoCoModel`
    (with `shuffle_groups=1`, which files do not record) and a `BYOLModel`.

    The file is read with PyTorch's `weights_only`: code in it is not run.

    Args:
        path: path of a `.pth` file: a dict with a `"state_dict"` or `"model"`, or a state dict.
        input_shape: `(height, width, channels)` of the images; `(None, None, 3)` accepts any size.
            Defaults to None: 224 pixels, or 32 for a stem for small images.

    Returns:
        An `ISDModel`, `MoCoModel` or `BYOLModel`, not compiled.

    Raises:
        ImportError: if PyTorch is not installed.
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, holds other than tensors and settings, or has another
            network, with a list of the differences.

    Source: `state` in the authors' `train_isd_plus.py`.

    Example:

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "isd.pth")
    >>> backbone = keras_isd.backbones.ResNet18((32, 32, 3), "small", width=8)
    >>> predictor = keras_isd.heads.mlp(64, 64, 64, name="predictor")
    >>> model = keras_isd.ISDModel(backbone, predictor=predictor, queue_size=16)
    >>> keras_isd.interop.save_torch_checkpoint(model, path)
    >>> keras_isd.interop.load_torch_checkpoint(path).queue.size
    16
    """
    state, settings = read_state_dict(path)
    model = build({name: array.shape for name, array in state.items()}, settings, input_shape)
    method = script_method(model)
    wanted = dict(_variables(model, method))
    _check_fit(path, method, wanted, state)
    for name, variable in wanted.items():
        variable.assign(_to_keras_layout(method, name, variable, state[name]))
    if hasattr(model, "queue"):  # scripts do not record how much of the queue is filled
        model.queue.filled.assign(model.queue.size)
    return model


def save_torch_checkpoint(model, path, epoch=0):
    """Saves a model as a checkpoint for the authors' PyTorch scripts.

    Args:
        model: `ISDModel`, `MoCoModel` or `BYOLModel` with a ResNet of `keras_isd.backbones` and
            heads of `keras_isd.heads.mlp`, named `"projector"` and `"predictor"`.
        path: where to write.
        epoch: int, the epoch recorded in the file. Defaults to 0.

    Raises:
        ImportError: if PyTorch is not installed.
        ValueError: if the file would not restore this model: its backbone, heads or method are not
            supported.

    Example: see `load_torch_checkpoint`.
    """
    torch = import_torch()
    method, state = _method_and_state(model)
    for name in [name for name in state if name.endswith("running_var")]:
        state[name.replace("running_var", "num_batches_tracked")] = np.array(0)
    tensors = {_parallel_name(method, name): torch.tensor(array) for name, array in state.items()}
    options = argparse.Namespace(**script_arguments(method, model))
    with atomic_path(path) as unfinished:
        torch.save({"opt": options, "state_dict": tensors, "epoch": epoch}, unfinished)


def _method_and_state(model):
    """A model's method and state; raises a ValueError if they would not restore the model."""
    method = script_method(model)
    state = method and {
        name: _to_torch_layout(method, name, variable)
        for name, variable in _variables(model, method)
    }
    if method is None or not _is_restorable(model, method, state):
        parts = (model.student_backbone, model.projector, model.predictor)
        raise ValueError(
            "Argument `model` must be an ISDModel, a MoCoModel, or a BYOLModel with a predictor, "
            "of a ResNet of keras_isd.backbones and heads of keras_isd.heads.mlp named "
            f"`projector` and `predictor`. Received: {type(model).__name__} of "
            f"{[part and part.name for part in parts]}"
        )
    return method, state


def _is_restorable(model, method, state):
    """Whether a model built from the state has the same method and variables."""
    shapes = {name: array.shape for name, array in state.items()}
    try:
        twin = build(
            shapes, script_arguments(method, model), model.student_backbone.input_shape[1:]
        )
    except ValueError:
        return False
    return script_method(twin) is method and {n for n, _ in _variables(twin, method)} == set(state)


def _parallel_name(method, name):
    """The name of an entry after the script wrapped parts, or all, for parallel training."""
    if not method.parallel_parts:
        return f"module.{name}"
    part, _, rest = name.partition(".")
    return f"{part}.module.{rest}" if part in method.parallel_parts else name


def _variables(model, method):
    """Yields pairs of a name in a checkpoint and its variable."""
    parts = {
        "encoder_q": model.student_backbone,
        "encoder_k": model.teacher_backbone,
        "encoder_q.fc": model.projector,
        "encoder_k.fc": model.teacher_projector,
        "predict_q": model.predictor,
    }
    for prefix, part in parts.items():
        if part is not None:
            yield from ((name, variable) for variable, name in entries(part, prefix))
    if hasattr(model, "queue"):
        yield "queue", model.queue.embeddings
        yield "queue_ptr", model.queue.pointer
        if method.keeps_labels:
            yield "labels", model.queue.labels


def _is_transposed(method, name):
    return name == "queue" and method.queue_axis == 1


def _to_keras_layout(method, name, variable, array):
    if _is_transposed(method, name):
        return array.T
    if name == "queue_ptr" and array.size == 1:
        return array.reshape(())
    return to_keras(variable, array)


def _to_torch_layout(method, name, variable):
    if name == "queue_ptr":
        return ops.convert_to_numpy(variable).astype("int64").reshape(1)
    if name == "labels":
        return ops.convert_to_numpy(variable).astype("int64")
    array = to_torch(variable).astype("float32")
    return np.ascontiguousarray(array.T) if _is_transposed(method, name) else array


def _check_fit(path, method, wanted, state):
    """Raises a ValueError that lists the differences between a checkpoint and its model."""
    missing = sorted(set(wanted) - set(state))
    ignored = ("num_batches_tracked",)
    unknown = sorted(n for n in set(state) - set(wanted) if not n.endswith(ignored))
    wrong = [
        f"{name} of shape {state[name].shape}"
        for name, variable in wanted.items()
        if name in state
        and _to_keras_layout(method, name, variable, state[name]).shape != variable.shape
    ]
    found = {"missing": missing, "unknown": unknown, "wrong shape": wrong}
    if any(found.values()):
        listed = "; ".join(
            f"{kind}: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"
            for kind, names in found.items()
            if names
        )
        raise ValueError(
            f"Argument `path` must be a checkpoint of the authors' networks. "
            f"Received: {path}, with {listed}"
        )
