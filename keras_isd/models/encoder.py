"""The chain of sub-models that makes an embedding of an image: checked, and run."""

import numbers

import keras
from keras import ops

from keras_isd.validation.arguments import check_positive_integer


def check_chain(backbone, projector, predictor):
    """Checks that sub-models fit to one another, and returns the width of the embeddings.

    Args:
        backbone: built `keras.Model`, images to `(B, F)`.
        projector: built `keras.Model`, `(B, F)` to `(B, D)`, or None (D = F).
        predictor: built `keras.Model`, `(B, D)` to `(B, D)`, or None.

    Returns:
        int, D.

    Raises:
        ValueError: if one is not built, takes another width, or gives anything but that.
    """
    width = _width("backbone", backbone)
    if projector is not None:
        width = _width("projector", projector, width)
    if predictor is not None:
        predicted = _width("predictor", predictor, width)
        if predicted != width:
            raise ValueError(
                "Argument `predictor` must give embeddings as wide as those it takes, since "
                f"they are compared with the teacher's, {width} wide. "
                f"Received: a predictor from {width} to {predicted}"
            )
    return width


def feature_width(name, network):
    """The width of what a network gives of images, or of features that there are already: an int.

    Raises:
        ValueError: if it is not built, or does not give one vector an image.
    """
    if isinstance(network, numbers.Integral) and not isinstance(network, bool):
        check_positive_integer(name, network)
        return int(network)
    return _output_width(name, network, _checked_input_shape(name, network))


def channels(backbone):
    """How many channels the images of a backbone have, or None."""
    return _checked_input_shape("backbone", backbone)[-1]


def check_width(name, width, wanted):
    """Raises a ValueError unless embeddings are as wide as those that they are compared with."""
    if width != wanted:
        raise ValueError(
            f"Argument `{name}` must give as many numbers as the other network's embeddings have, "
            f"{wanted}, with which they are compared. Received: {name} that gives {width}"
        )


def _width(name, model, input_width=None):
    """The width of what a sub-model gives of `input_width` numbers, or of images."""
    input_shape = _checked_input_shape(name, model)
    if input_width is not None and tuple(input_shape[1:]) != (input_width,):
        raise ValueError(
            f"Argument `{name}` must take inputs of shape (batch, {input_width}), as the sub-model "
            f"before it gives. Received: {name} with input shape {input_shape}"
        )
    for variable in model.variables:
        if "float" in variable.dtype and variable.dtype != "float32":
            raise ValueError(
                f"Argument `{name}` must have variables in float32: for a step in half precision "
                'build it under the policy "mixed_bfloat16" or "mixed_float16", with '
                "`keras.config.set_dtype_policy`, and leave `keras.config.set_floatx` at float32. "
                f"Received: {name} with {variable.path} in {variable.dtype}"
            )
    return _output_width(name, model, input_shape)


def _output_width(name, model, input_shape):
    # Not `compute_output_shape`, which a subclassed model need not have.
    output_shape = keras.tree.map_structure(
        lambda x: x.shape, model(keras.KerasTensor(input_shape))
    )
    if not _is_shape(output_shape) or len(output_shape) != 2 or output_shape[-1] is None:
        raise ValueError(
            f"Argument `{name}` must give one output of shape (batch, features): end a backbone "
            "with a pooling layer, such as GlobalAveragePooling2D. "
            f"Received: {name} with output shape {output_shape}"
        )
    return output_shape[-1]


def _checked_input_shape(name, model):
    if not isinstance(model, keras.Model):
        raise ValueError(f"Argument `{name}` must be a keras.Model. Received: {name}={model!r}")
    if not model.built:
        raise ValueError(
            f"Argument `{name}` must be built: call it on a batch, or give it a keras.Input. "
            f"Received: {name}={model!r}, not built"
        )
    # A functional model knows its inputs, a subclassed one what it was built on.
    shape = getattr(model, "input_shape", None) or (model.get_build_config() or {}).get(
        "input_shape"
    )
    if not _is_shape(shape):
        raise ValueError(
            f"Argument `{name}` must take one tensor. Received: {name} with input shape {shape}"
        )
    return shape


def _is_shape(shape):
    return isinstance(shape, (tuple, list)) and all(
        size is None or isinstance(size, int) for size in shape
    )


def embed(submodels, images, training):
    """Runs sub-models (None is the identity) in turn; `(B, D)` float32 unit rows.

    An image that is not finite gets an embedding that is not, so that the loss tells of it: a
    ReLU or a max-pooling may swallow a NaN on its way, and hide it until the gradient.
    """
    x = images
    for submodel in submodels:
        if submodel is not None:
            x = submodel(x, training=training)
    # 1e-12 is the bound of PyTorch's `normalize`.
    x = ops.normalize(ops.cast(x, "float32"), axis=-1, epsilon=1e-12)
    # 0 for an image that is finite, NaN for another: a constant NaN would stop every healthy run
    # under `tf.debugging.enable_check_numerics` and JAX's `debug_nans`.
    zero = ops.sum(0.0 * ops.cast(images, "float32"), axis=tuple(range(1, len(images.shape))))
    return x + zero[:, None]
