"""Heads: the projector and the predictor, small networks on top of the backbone."""

import keras
from keras import layers

from keras_isd.layers import BatchNormalization
from keras_isd.validation.arguments import check_seed

__all__ = ["linear", "mlp"]


def mlp(input_dim, hidden_dim, output_dim, hidden_bias=True, batch_norm=True, name="mlp"):
    """Builds two linear layers with batch normalisation and ReLU between them.

    Projectors and predictors of all recipes are of this form. Initial weights are
    those of PyTorch's `nn.Linear`: uniform within `1 / sqrt(inputs)`.

    Args:
        input_dim: int, width of the input.
        hidden_dim: int, width between the two layers.
        output_dim: int, width of the output.
        hidden_bias: bool, whether the first layer has a bias. Defaults to True.
        batch_norm: bool; False for MoCo v2's projector. Defaults to True.
        name: str, name of the model. Its layers are `NAME_0`, `NAME_1` (batch
            normalisation), `NAME_2` (ReLU) and `NAME_3`, the indices of the
            authors' `nn.Sequential`; without batch normalisation up to `NAME_2`.
            Defaults to `"mlp"`.

    Returns:
        A built `keras.Sequential`, `(B, input_dim)` to `(B, output_dim)`.

    Source: `get_mlp` in the authors' `train_isd_plus.py`, `predict_q` in
    `train_isd_r18.py`.

    Example:

    >>> keras_isd.heads.mlp(512, 1024, 128, name="projector").output_shape
    (None, 128)
    """
    hidden = [linear(input_dim, hidden_dim, hidden_bias), layers.ReLU()]
    if batch_norm:
        hidden.insert(1, BatchNormalization())
    stack = [*hidden, linear(hidden_dim, output_dim)]
    for index, layer in enumerate(stack):
        layer.name = f"{name}_{index}"
    return keras.Sequential([keras.Input((input_dim,)), *stack], name=name)


def linear(input_dim, output_dim, use_bias=True, seed=None, **kwargs):
    """Builds a linear layer with PyTorch's initial weights: uniform within `1 / sqrt(inputs)`.

    Args:
        input_dim: int, width of the input.
        output_dim: int, width of the output.
        use_bias: bool. Defaults to True.
        seed: int, fixes the initial weights, or None. Defaults to None.
        **kwargs: see `keras.layers.Dense`.

    Returns:
        A `keras.layers.Dense`.

    Source: `torch.nn.Linear.reset_parameters`.

    Example:

    >>> layer = keras_isd.heads.linear(4, 100, seed=0)
    >>> layer.build((None, 4))
    >>> 0.45 < float(keras.ops.convert_to_numpy(layer.kernel).max()) <= 0.5
    True
    """
    check_seed("seed", seed)
    bound = input_dim**-0.5
    kernel, bias = (
        keras.initializers.RandomUniform(
            -bound, bound, None if seed is None else (seed + i) % 2**32
        )
        for i in range(2)
    )
    return layers.Dense(
        output_dim, use_bias=use_bias, kernel_initializer=kernel, bias_initializer=bias, **kwargs
    )
