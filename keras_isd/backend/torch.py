"""PyTorch: runs eagerly, so fused and in-place operations are called explicitly.

Up to version 3.15 Keras trains in one process on one device here; from 3.16 on in one process per
device, each with a part of every batch, as in PyTorch's `DistributedDataParallel`.
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
    """Raises a ValueError in every process if one has no rows, and so no batch statistics."""
    counts = _row_counts(x)
    if 0 in counts:
        raise ValueError(
            "Every process must get images of each batch. Drop a smaller last batch, or change the "
            f"batch size. Received: {counts} images by process"
        )


@torch.no_grad()
def _share_statistics(model):
    """Averages moving statistics over all processes, so that they hold the same model.

    All processes then measure the same in an evaluation, and stop together if one does.
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
    # `assign` would copy the whole variable; without a gradient it may be written in place.
    variable.value.index_copy_(0, rows.long(), values.detach())


def convolve(layer, inputs, kernel):
    """PyTorch's kernel in the layout that the inputs already have, channels last."""
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
    """A view; the ONNX export supports `permute` but not `movedim`."""
    return x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def _channels_last(x):
    return x.permute(0, *range(2, x.ndim), 1)


def fused_batch_norm(layer, inputs, training):
    """PyTorch's kernel, which also updates the layer's moving statistics.

    On a ResNet-18 the whole training step takes about a fifth less time than with elementary
    operations of `keras.ops`, and the variance does not suffer from their cancellation.
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
    is_distributed = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if is_distributed else 1


def all_gather(x):
    """The rows of every process' `x`, in the processes' order; their numbers may differ."""
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
    """The number of rows of each process' `x`."""
    counts = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(replica_count())]
    distributed.all_gather(counts, torch.full_like(counts[0], len(x)))
    return torch.cat(counts).tolist()


def all_sum(x):
    """The sum of every process' `x`. Gradients flow from every process."""
    return x if replica_count() == 1 else _AllSum.apply(ops.convert_to_tensor(x))


class _AllSum(torch.autograd.Function):
    """Sums over processes with a gradient; its twin in `torch.distributed.nn` is deprecated."""

    @staticmethod
    def forward(_, x):
        total = x.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_, gradient):
        return _AllSum.forward(_, gradient)


def from_share(loss):
    """PyTorch averages the processes' gradients; the batch's gradient is their sum."""
    return loss * replica_count()


def predict_on_batch(model, x):
    """Calls the model directly in several processes; Keras would fail to wrap a frozen network."""
    if replica_count() == 1:
        return model.predict_on_batch(x)
    with torch.no_grad():
        return ops.convert_to_numpy(model(x, training=False))


def synchronize_batch_norm(model):
    if replica_count() > 1:  # Keras' own layer does not support it here, and raises
        synchronize_layers(model)


def is_chief(model):
    return replica_count() == 1 or distributed.get_rank() == 0


def is_one_of_several(model):
    return replica_count() > 1


def has_accelerator():
    return cuda.is_available()


def check_compile(model, arguments):
    """Raises a ValueError in several processes that would each train a separate model."""
    processes = max(int(os.environ.get("WORLD_SIZE", 1)), replica_count())
    if processes == 1:
        return
    if not joins_processes():
        raise ValueError(
            "Before 3.16 Keras trains in one process on one device of PyTorch: these processes "
            "would train separate models. For several devices use a later Keras, or set "
            "KERAS_BACKEND to jax or tensorflow. "
            f"Received: WORLD_SIZE={processes}, Keras {keras.__version__}"
        )
    if replica_count() == 1:
        raise ValueError(
            "Call `keras.distribution.initialize()` before you make the model: without it these "
            f"processes would train separate models. Received: WORLD_SIZE={processes}"
        )
    shared = keras.distribution.distribution()
    if shared is not None and not isinstance(shared, keras.distribution.DataParallel):
        raise ValueError(
            "The distribution of several PyTorch processes must be a "
            f"`keras.distribution.DataParallel`. Received: {shared}"
        )
    if arguments.get("jit_compile") is True:
        raise ValueError(
            "Argument `jit_compile` must not be given in several PyTorch processes. "
            "Received: jit_compile=True"
        )


def joins_processes():
    """Whether this Keras version trains one model in several PyTorch processes."""
    return importlib.util.find_spec("keras.src.backend.torch.distribution_lib") is not None
