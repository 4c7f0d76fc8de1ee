"""The ResNet of a PyTorch file: torchvision's, MoCo's, the authors', or another."""

from keras_isd.interop.architecture import build_backbone
from keras_isd.interop.state_dict import entries, read_state_dict, to_keras


def load_torch_backbone(path, prefix=None, input_shape=None):
    """Loads the ResNet of a PyTorch file as a backbone.

    For files without a whole model: torchvision's `resnet18`, `resnet34` and `resnet50`, the
    encoders published by MoCo's authors, and any other with torchvision's names, `conv1.weight`,
    `layer1.0.conv1.weight` and so on, with or without a prefix. Heads (`fc`), the queue and
    everything else in the file are ignored. Features equal the PyTorch network's within 1e-4.

    The file is read with PyTorch's `weights_only`: code in it is not run.

    Args:
        path: path of a `.pth` file: a dict with a `"state_dict"` or `"model"`, or a state dict.
        prefix: str, the prefix of `conv1.weight` in the names, without `module.`, such as
            `"encoder_q."` or `"backbone."`. Defaults to None: the only prefix, or `"encoder_q."`,
            the student of MoCo and the authors.
        input_shape: `(height, width, channels)` of the images; `(None, None, 3)` accepts any size.
            Defaults to None: 224 pixels, or 32 for a stem for small images.

    Returns:
        A `keras_isd.backbones` ResNet, `(B, H, W, C)` to `(B, F)`.

    Raises:
        ImportError: if PyTorch is not installed.
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, holds other than tensors and settings, or has no ResNet
            under the prefix, or several without a prefix given.

    Example:

    >>> import tempfile, os, torch
    >>> path = os.path.join(tempfile.mkdtemp(), "isd.pth")
    >>> backbone = keras_isd.backbones.ResNet18((32, 32, 3), "small", width=8)
    >>> predictor = keras_isd.heads.mlp(64, 64, 64, name="predictor")
    >>> model = keras_isd.ISDModel(backbone, predictor=predictor, queue_size=16)
    >>> keras_isd.interop.save_torch_checkpoint(model, path)
    >>> keras_isd.interop.load_torch_backbone(path, prefix="encoder_k.").output_shape
    (None, 64)
    """
    state, _ = read_state_dict(path)
    prefix = _prefix(path, state, prefix)
    shapes = {name: array.shape for name, array in state.items() if name.startswith(prefix)}
    backbone = build_backbone(shapes, prefix, input_shape)
    wanted = {name: variable for variable, name in entries(backbone, prefix.removesuffix("."))}
    wrong = [
        f"{name} of shape {shapes.get(name)}"
        for name, variable in wanted.items()
        if name not in state or to_keras(variable, state[name]).shape != variable.shape
    ]
    trunk = tuple(f"{prefix}{part}" for part in ("conv1.", "bn1.", "layer"))
    unknown = [
        f"unknown {name}"
        for name in sorted(set(shapes) - set(wanted))
        if name.startswith(trunk) and not name.endswith("num_batches_tracked")
    ]
    if wrong or unknown:
        raise ValueError(
            f"A ResNet under {prefix!r} must have {len(wanted)} arrays. "
            f"Received: {path}, with {'; '.join([*wrong, *unknown][:10])}"
        )
    for name, variable in wanted.items():
        variable.assign(to_keras(variable, state[name]))
    return backbone


def _prefix(path, state, wanted):
    """The prefix of the ResNet to read; raises a ValueError if it is ambiguous or missing."""
    start, block = "conv1.weight", "layer1.0.conv1.weight"
    found = [
        name.removesuffix(start)
        for name in state
        if name.endswith(start) and name.removesuffix(start) + block in state
    ]
    if wanted in found or (wanted is None and len(found) == 1):
        return found[0] if wanted is None else wanted
    if wanted is None and "encoder_q." in found:
        return "encoder_q."
    raise ValueError(
        "Argument `prefix` must be the prefix of `conv1.weight` in the names of a ResNet. "
        f"Received: {wanted!r}; {path} has ResNets under {found}, and names such as "
        f"{sorted(state)[:8]}"
    )
