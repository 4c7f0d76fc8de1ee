"""The model of a state dict, inferred from its names and shapes."""

from collections.abc import Callable

from keras_isd import backbones
from keras_isd.heads import mlp
from keras_isd.interop.methods import find_method, model_arguments

# Blocks of the four stages, and whether they are bottlenecks.
_RESNETS: dict[tuple[tuple[int, ...], bool], Callable] = {
    ((2, 2, 2, 2), False): backbones.ResNet18,
    ((3, 4, 6, 3), False): backbones.ResNet34,
    ((3, 4, 6, 3), True): backbones.ResNet50,
}


def build(shapes, settings, input_shape=None):
    """Builds the model that a state dict fits, with new weights.

    Args:
        shapes: dict from names to shapes, without the `module.` of parallel training.
        settings: dict of the training script's arguments, as far as they are known.
        input_shape: `(height, width, channels)`. Defaults to None: 224 pixels, or 32 for a small
            stem.

    Returns:
        The model, of a class in `methods.METHODS`.

    Raises:
        ValueError: if the network or the method is unknown.
    """
    parts = {
        "backbone": build_backbone(shapes, "encoder_q.", input_shape),
        "projector": _build_head(shapes, "encoder_q.fc", "projector"),
        "predictor": _build_head(shapes, "predict_q", "predictor"),
    }
    queue_shape = shapes.get("queue")
    if queue_shape is None and parts["predictor"] is None:
        raise ValueError(
            "A checkpoint must have a `queue` (ISD, MoCo), a `predict_q` (BYOL), or both. "
            f"Received: {_some(shapes)}"
        )
    width = (parts["projector"] or parts["backbone"]).output_shape[-1]
    method = find_method(queue_shape, width, parts["projector"] is not None, settings)
    arguments = model_arguments(method, settings)
    if queue_shape is not None:
        arguments["queue_size"] = queue_shape[method.queue_axis]
    return method.model(**parts, **arguments)


def build_backbone(shapes, prefix, input_shape=None):
    """Builds the ResNet whose names in a state dict begin with `prefix`, such as `"encoder_q."`.

    Raises:
        ValueError: if the network is unknown.
    """
    names = [name.removeprefix(prefix) for name in shapes if name.startswith(prefix)]
    depths = tuple(
        len({name.split(".")[1] for name in names if name.startswith(f"layer{stage}.")})
        for stage in (1, 2, 3, 4)
    )
    bottleneck = f"{prefix}layer1.0.conv3.weight" in shapes
    stem = shapes.get(f"{prefix}conv1.weight", ())
    if (depths, bottleneck) not in _RESNETS or len(stem) != 4 or stem[-1] not in (3, 7):
        raise ValueError(
            f"A checkpoint must have a ResNet-18, 34 or 50 under {prefix!r}. Received: stages of "
            f"{depths} blocks, conv1 of shape {stem or None}, among {_some(shapes)}"
        )
    is_small = stem[-1] == 3
    input_shape = input_shape or ((32, 32, stem[1]) if is_small else (224, 224, stem[1]))
    return _RESNETS[depths, bottleneck](
        input_shape, stem="small" if is_small else "imagenet", width=stem[0]
    )


def _build_head(shapes, prefix, name):
    """Builds the head under a prefix, two linear layers with or without batch norm; or None."""
    first = shapes.get(f"{prefix}.0.weight")
    if first is None:
        return None
    batch_norm = f"{prefix}.1.weight" in shapes
    last = shapes.get(f"{prefix}.{3 if batch_norm else 2}.weight")
    if last is None or len(first) != 2 or len(last) != 2:
        raise ValueError(
            f"`{prefix}` of a checkpoint must be two linear layers. Received: "
            f"{ {n: s for n, s in shapes.items() if n.startswith(prefix)} }"
        )
    bias = f"{prefix}.0.bias" in shapes
    return mlp(first[1], first[0], last[0], hidden_bias=bias, batch_norm=batch_norm, name=name)


def _some(shapes):
    names = sorted(shapes)
    return f"{names[:8]}{' and others' if len(names) > 8 else ''}"
