"""Files of PyTorch training scripts: a whole model read, and written."""

import argparse

import numpy as np
from keras import ops

from keras_isd.interop.architecture import build
from keras_isd.interop.methods import method_of_model, settings_of
from keras_isd.interop.names import entries, to_keras, to_torch
from keras_isd.interop.state_dict import import_torch, read_state_dict


def load_torch_checkpoint(path, input_shape=None):
    """Makes a model of a checkpoint that the authors' PyTorch code has written.

    Student, teacher, heads, queue, labels and pointer are taken over; temperatures and momentum
    are those of the script's arguments in the file, or where there are none its defaults. The
    optimizer's state is not. Features equal the PyTorch network's within 1e-4.

    Plain checkpoints of MoCo v2 and of BYOL with the same names become a
    `keras_isd.baselines.MoCoModel` (of `shuffle_groups=1`: no file tells) and a `BYOLModel`.

    The file is read with PyTorch's `weights_only`: no code in it is run.

    Args:
        path: of a `.pth` file: a dict with a `"state_dict"` or `"model"`, or a state dict.
        input_shape: `(height, width, channels)` of the images; None for 224 pixels, or 32 where
            the network has a stem for small images. `(None, None, 3)` takes any.

    Returns:
        An `ISDModel`, `MoCoModel` or `BYOLModel`, not compiled.

    Raises:
        ImportError: if PyTorch is not installed.
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, holds other than tensors and settings, or is of another
            network: what did not fit is listed.

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
    method = method_of_model(model)
    wanted = dict(_variables(model, method))
    _check_fit(path, method, wanted, state)
    for name, variable in wanted.items():
        variable.assign(_to_keras_layout(method, name, variable, state[name]))
    if hasattr(model, "queue"):  # no script writes down how much of its queue is filled
        model.queue.filled.assign(model.queue.size)
    return model


def save_torch_checkpoint(model, path, epoch=0):
    """Writes a model as the authors' PyTorch code would have, for their scripts to read.

    Args:
        model: `ISDModel`, `MoCoModel` or `BYOLModel` of a ResNet of `keras_isd.backbones` and heads
            of `keras_isd.heads.mlp`, named `"projector"` and `"predictor"`.
        path: where to write.
        epoch: int, that the file is to tell.

    Raises:
        ImportError: if PyTorch is not installed.
        ValueError: if the file would not give this model back: its backbone or heads are of another
            kind or name, or it is of another method.

    Example: see `load_torch_checkpoint`.
    """
    torch = import_torch()
    method, state = _method_and_state(model)
    for name in [name for name in state if name.endswith("running_var")]:
        state[name.replace("running_var", "num_batches_tracked")] = np.array(0)
    tensors = {_parallel_name(method, name): torch.tensor(array) for name, array in state.items()}
    options = argparse.Namespace(**settings_of(method, model))
    torch.save({"opt": options, "state_dict": tensors, "epoch": epoch}, path)


def _method_and_state(model):
    """A model's method and state; raises a ValueError unless it would be read as such a model."""
    method = method_of_model(model)
    state = method and {
        name: _to_torch_layout(method, name, variable)
        for name, variable in _variables(model, method)
    }
    if method is None or not _comes_back(model, method, state):
        parts = (model.student_backbone, model.projector, model.predictor)
        raise ValueError(
            "Argument `model` must be an ISDModel, a MoCoModel, or a BYOLModel with a predictor, "
            "of a ResNet of keras_isd.backbones and heads of keras_isd.heads.mlp named "
            f"`projector` and `predictor`. Received: {type(model).__name__} of "
            f"{[part and part.name for part in parts]}"
        )
    return method, state


def _comes_back(model, method, state):
    """Whether what is built of the model's state has the method and the variables of the model."""
    shapes = {name: array.shape for name, array in state.items()}
    try:
        twin = build(shapes, settings_of(method, model), model.student_backbone.input_shape[1:])
    except ValueError:
        return False
    return method_of_model(twin) is method and {n for n, _ in _variables(twin, method)} == set(
        state
    )


def _parallel_name(method, name):
    """The name of an entry once the script has made what it runs in parallel so."""
    if not method.parallel_parts:
        return f"module.{name}"
    part, _, rest = name.partition(".")
    return f"{part}.module.{rest}" if part in method.parallel_parts else name


def _variables(model, method):
    """Yields pairs of a name in a checkpoint and the variable that it is of."""
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
    """Raises a ValueError that lists what of a checkpoint does not fit its model."""
    missing = sorted(set(wanted) - set(state))
    ignored = ("num_batches_tracked",)
    unknown = sorted(n for n in set(state) - set(wanted) if not n.endswith(ignored))
    wrong = [
        f"{name} of shape {state[name].shape}"
        for name, variable in wanted.items()
        if name in state
        and _to_keras_layout(method, name, variable, state[name]).shape != variable.shape
    ]
    found = {"missing": missing, "not known": unknown, "of another shape": wrong}
    if any(found.values()):
        told = "; ".join(
            f"{kind}: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"
            for kind, names in found.items()
            if names
        )
        raise ValueError(
            f"Expected a checkpoint of the authors' networks. Received: {path}, of which do not "
            f"fit, {told}"
        )
