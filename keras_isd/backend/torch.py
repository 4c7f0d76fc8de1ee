"""PyTorch: it runs eagerly, so that what a compiler would fuse or do in place is asked for by name.

Keras trains in one process on one device here; from 3.16 on in several, one a device, each of
which has a part of every batch, as in PyTorch's `DistributedDataParallel`.
"""

import importlib.util
import os

import keras
import torch
from keras import ops
from torch import cuda, distributed
from torch.nn.functional import batch_norm, conv2d, max_pool2d

from keras_isd.backend.common import *
from keras_isd.backend.common import assigning_step, synchronize_layers
from keras_isd.compat.keras_internals import all_layers


def guarded_step(model, update_teacher, step, batch):
    if replica_count() == 1:
        return assigning_step(model, update_teacher, step, batch)
    _check_none_is_empty(keras.tree.flatten(batch)[0])
    logs = assigning_step(model, update_teacher, step, batch)
    _share_statistics(model)
    return logs


def _check_none_is_empty(x):
    """Raises a ValueError in every process where one has no rows, and so no statistics of them."""
    counts = _row_counts(x)
    if 0 in counts:
        raise ValueError(
            "Every process must get images of each batch. Leave a smaller last batch out, or take "
            f"batches of another size. Received: {counts} images, by process"
        )


@torch.no_grad()
def _share_statistics(model):
    """Makes moving statistics the mean of all processes', which then have one model.

    What one of them finds in an evaluation, and may stop at, all of them find.
    """
    statistics = [
        variable.value
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
        for variable in (layer.moving_mean, layer.moving_variance)
    ]
    if statistics:
        together = torch.cat(statistics)
        distributed.all_reduce(together)
        parts = (together / replica_count()).split([len(x) for x in statistics])
        for value, part in zip(statistics, parts):
            value.copy_(part)


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
    x = _channels_first(inputs)
    return _channels_last(max_pool2d(x, layer.pool_size, layer.strides, layer.border))


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


def replica_count():
    together = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


def all_gather(x):
    """The rows of every process' `x`, which may be of another number, in their order."""
    if replica_count() == 1:
        return x
    counts = _row_counts(x)
    padded = x.new_zeros((max(counts), *x.shape[1:]))
    padded[: len(x)] = x.detach()
    parts = [torch.empty_like(padded) for _ in counts]
    distributed.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts)])


def batch_offset(x):
    if replica_count() == 1:
        return 0, len(x)
    counts = _row_counts(x)
    return sum(counts[: distributed.get_rank()]), sum(counts)


def _row_counts(x):
    """How many rows each process' `x` has."""
    counts = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(replica_count())]
    distributed.all_gather(counts, torch.full_like(counts[0], len(x)))
    return torch.cat(counts).tolist()


def all_sum(x):
    """The sum of every process' `x`. Gradients pass, from every process."""
    return x if replica_count() == 1 else _AllSum.apply(ops.convert_to_tensor(x))


class _AllSum(torch.autograd.Function):
    """`torch.distributed.nn` has the same, deprecated."""

    @staticmethod
    def forward(_, x):
        total = x.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_, gradient):
        return _AllSum.forward(_, gradient)


def from_share(loss):
    """Of the processes' gradients PyTorch takes the mean, where their sum is the batch's."""
    return loss * replica_count()


def predict_on_batch(model, x):
    """In several processes without Keras, which would join one that is frozen, and fails."""
    if replica_count() == 1:
        return model.predict_on_batch(x)
    with torch.no_grad():
        return ops.convert_to_numpy(model(x, training=False))


def synchronize_batch_norm(model):
    if replica_count() > 1:  # Keras' own layer has no such thing here, and says so
        synchronize_layers(model)


def is_chief(model):
    return replica_count() == 1 or distributed.get_rank() == 0


def is_one_of_several(model):
    return replica_count() > 1


def has_accelerator():
    return cuda.is_available()


def check_compile(model, arguments):
    """Raises a ValueError in one of several processes that would each train a model of its own."""
    processes = max(int(os.environ.get("WORLD_SIZE", 1)), replica_count())
    if processes == 1:
        return
    if not joins_processes():
        raise ValueError(
            "Before 3.16 Keras trains in one process on one device of PyTorch: these would train "
            "models of their own. For many devices take a later Keras, or set KERAS_BACKEND to jax "
            f"or tensorflow. Received: WORLD_SIZE={processes}, Keras {keras.__version__}"
        )
    if replica_count() == 1:
        raise ValueError(
            "Call `keras.distribution.initialize()` before the model is made: without it these "
            f"processes would train models of their own. Received: WORLD_SIZE={processes}"
        )
    shared = keras.distribution.distribution()
    if shared is not None and not isinstance(shared, keras.distribution.DataParallel):
        raise ValueError(
            "Processes of PyTorch share batches by `keras.distribution.DataParallel` alone. "
            f"Received: {shared}"
        )
    if arguments.get("jit_compile") is True:
        raise ValueError(
            "In several processes of PyTorch leave `jit_compile` out. Received: jit_compile=True"
        )


def joins_processes():
    """Whether this Keras has the processes of PyTorch train one model."""
    return importlib.util.find_spec("keras.src.backend.torch.distribution_lib") is not None
