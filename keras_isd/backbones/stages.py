"""The maps of a backbone's stages, for networks that predict for each pixel."""

from typing import Any

import keras


def feature_maps(model):
    """Makes a model with the feature maps of each stage of a backbone, the finest first.

    A U-Net, a feature pyramid or a detector continues from such maps. A stage is all layers with
    one resolution, and its map is the output of the last of those with the most channels: in a
    ResNet-50 the first convolution of a stage, with fewer, still has the resolution of the stage
    before. Weights are shared with `model`.

    Args:
        model: trained model with a `student_backbone`, such as `load_run` returns, or a functional
            `keras.Model` from images `(B, H, W, C)` of a known size.

    Returns:
        A functional `keras.Model` from images to a list of maps `(B, h, w, c)`.

    Raises:
        ValueError: if the model is not functional, the size of its images is unknown, or it has no
            maps.

    Example:

    >>> network = keras_isd.backbones.ResNet18((64, 64, 3))
    >>> [x.shape[1:] for x in keras_isd.backbones.feature_maps(network).outputs]
    [(32, 32, 64), (16, 16, 64), (8, 8, 128), (4, 4, 256), (2, 2, 512)]
    """
    backbone = getattr(model, "student_backbone", model)
    if not isinstance(backbone, keras.Model) or not hasattr(backbone, "operations"):
        raise ValueError(
            "Argument `model` must be a functional `keras.Model`, or have one as its "
            f"`student_backbone`. Received: {type(backbone).__name__}"
        )
    if None in backbone.input_shape[1:3]:
        raise ValueError(
            "Argument `model` must take images of a known size. "
            f"Received: input shape {backbone.input_shape}"
        )
    stages: dict[tuple, Any] = {}
    for layer in backbone.layers:
        # A border of zeros around a map is no stage of its own.
        if not isinstance(layer, (keras.layers.InputLayer, keras.layers.ZeroPadding2D)):
            output = layer.output
            if hasattr(output, "shape") and len(output.shape) == 4:
                before = stages.get(output.shape[1:3])
                if before is None or output.shape[-1] >= before.shape[-1]:
                    stages[output.shape[1:3]] = output
    maps = [*stages.values()]
    if not maps:
        raise ValueError(
            "Argument `model` must have layers with maps (B, h, w, c). "
            f"Received: {backbone.name} without any"
        )
    return keras.Model(backbone.input, maps, name=f"{backbone.name}_maps")
