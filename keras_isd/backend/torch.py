"""PyTorch: it runs eagerly, so that what a compiler would fuse or do in place is asked for by name.

Keras trains in one process on one device here.
"""

import os

from torch import cuda
from torch.nn.functional import batch_norm, conv2d, max_pool2d

from keras_isd.backend.common import *
from keras_isd.backend.common import assigning_step as guarded_step  # noqa: F401


def overwrite_rows(variable, rows, values):
    # `assign` would copy the whole variable. It takes no gradient, so it may be written in place.
    variable.value.index_copy_(0, rows.long(), values.detach())


def convolve(layer, inputs, kernel):
    """PyTorch's own kernel, of the layout that the inputs have already: the channels last."""
    outputs = conv2d(
        _channels_first(inputs),
        ops.convert_to_tensor(kernel).permute(3, 2, 0, 1),
        stride=layer.strides,
        padding=layer.padding,
    )
    return _channels_last(outputs)


def max_pool(layer, inputs):
    return _channels_last(max_pool2d(_channels_first(inputs), layer.pool_size, layer.strides))


def _channels_first(x):
    """A view; `permute` is what ONNX takes, and `movedim` is not."""
    return x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def _channels_last(x):
    return x.permute(0, *range(2, x.ndim), 1)


def fused_batch_norm(layer, inputs, training):
    """PyTorch's own kernel, which also moves the statistics of the layer.

    On a ResNet-18 it takes about a fifth off the whole training step beside the elementary
    operations of `keras.ops`, and it finds the variance without their cancellation.
    """
    outputs = batch_norm(
        _channels_first(inputs),
        layer.moving_mean.value,
        layer.moving_variance.value,
        layer.gamma.value,
        layer.beta.value,
        training=training,
        momentum=1 - layer.momentum,
        eps=layer.epsilon,
    )
    return _channels_last(outputs)


def has_accelerator():
    return cuda.is_available()


def check_compile(model, arguments):
    """Raises a ValueError in one of several processes of PyTorch, which Keras does not join."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if processes > 1:
        raise ValueError(
            "On PyTorch Keras trains in one process on one device: these would train models of "
            "their own. For many devices set KERAS_BACKEND to jax or tensorflow. "
            f"Received: WORLD_SIZE={processes}"
        )
