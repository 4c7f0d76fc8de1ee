"""The chain of sub-models from images to embeddings: shape checks, and the forward pass."""

import numbers

import keras
from keras import ops

from keras_isd.validation.arguments import check_positive_integer


def check_chain(backbone, projector, predictor):
    """Checks that the shapes of sub-models fit together, and returns the embedding width.

    Args:
        backbone: built `keras.Model`, images to `(B, F)`.
        projector: built `keras.Model`, `(B, F)` to `(B, D)`, or None (D = F).
        predictor: built `keras.Model`, `(B, D)` to `(B, D)`, or None.

    Returns:
        int, D.

    Raises:
        ValueError: if a sub-model is not built, or its input or output shape does not fit.
    """
    width = _width("backbone", backbone)
    if projector is not None:
        width = _width("projector", projector, width)
    if predictor is not None:
        predicted = _width("predictor", predictor, width)
        if predicted != width:
            raise ValueError(
                "Argument `predictor` must have an output as wide as its input, since it is "
                f"compared with the teacher's embeddings, {width} wide. "
                f"Received: a predictor from {width} to {predicted}"
            )
    return width


def feature_width(name, network):
    """The width of a network's features, or of given features: an int is returned as it is.

    Raises:
        ValueError: if the network is not built, or does not give one vector per image.
    """
    if isinstance(network, numbers.Integral) and not isinstance(network, bool):
        check_positive_integer(name, network)
        return int(network)
    return _output_width(name, network, _checked_input_shape(name, network))


def channels(backbone):
    """The number of channels of a backbone's images, or None if not known."""
    return _checked_input_shape("backbone", backbone)[-1]


def check_width(name, width, wanted):
    """Raises a ValueError unless embeddings are as wide as those they are compared with."""
    if width != wanted:
        raise ValueError(
            f"Argument `{name}` must have an output as wide as the other network's embeddings, "
            f"{wanted}. Received: {name} with an output width of {width}"
        )


def _width(name, model, input_width=None):
    """Checks a sub-model for inputs of `input_width` numbers, or images; returns its width."""
    input_shape = _checked_input_shape(name, model)
    if input_width is not None and tuple(input_shape[1:]) != (input_width,):
        raise ValueError(
            f"Argument `{name}` must take inputs of shape (batch, {input_width}), the output of "
            f"the sub-model before it. Received: {name} with input shape {input_shape}"
        )
    for variable in model.variables:
        if "float" in variable.dtype and variable.dtype != "float32":
            raise ValueError(
                f"Argument `{name}` must have float32 variables: for half precision build it under "
                'the policy "mixed_bfloat16" or "mixed_float16", with '
                "`keras.config.set_dtype_policy`, and leave `keras.config.set_floatx` at float32. "
                f"Received: {name} with {variable.path} in {variable.dtype}"
            )
    return _output_width(name, model, input_shape)


def _output_width(name, model, input_shape):
    # A subclassed model need not have `compute_output_shape`.
    output_shape = keras.tree.map_structure(
        lambda x: x.shape, model(keras.KerasTensor(input_shape))
    )
    if not _is_shape(output_shape) or len(output_shape) != 2 or output_shape[-1] is None:
        raise ValueError(
            f"Argument `{name}` must have one output of shape (batch, features): end a backbone "
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
    # A functional model has an input shape, a subclassed one the shape it was built with.
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


def _has_size_of(submodel, images):
    """Whether images have the height and width for which a functional model was built."""
    shape = getattr(submodel, "input_shape", None) or ()
    if not _is_shape(shape) or len(shape) != 4 or len(images.shape) != 4:
        return True
    return all(None in (a, b) or a == b for a, b in zip(shape[1:3], images.shape[1:3]))


def embed(submodels, images, training, any_size=False):
    """Runs sub-models in turn (None is the identity): `(B, D)`, float32 unit rows.

    With `any_size` images may have another height and width than the first sub-model was built for,
    if its layers allow it: convolutions and pooling do. Otherwise Keras refuses them.

    An image that is not finite gets a NaN embedding, so that the loss shows it: a ReLU or
    max-pooling may drop a NaN on the way and hide it until the gradient.
    """
    x = images
    for submodel in submodels:
        if submodel is not None:
            # Keras compares sizes with those of the model's input, but no layer depends on them.
            run = submodel.call if any_size and not _has_size_of(submodel, x) else submodel
            x = run(x, training=training)
    # 1e-12 as in PyTorch's `normalize`.
    x = ops.normalize(ops.cast(x, "float32"), axis=-1, epsilon=1e-12)
    # 0 for a finite image, NaN for others: a constant NaN in the graph would stop healthy runs
    # under `tf.debugging.enable_check_numerics` and JAX's `debug_nans`.
    zero = ops.sum(0.0 * ops.cast(images, "float32"), axis=tuple(range(1, len(images.shape))))
    return x + zero[:, None]
