"""JAX: a step is a function from state to state, and one program sees the whole batch.

The devices are those of a `keras.distribution`, to which JAX shares the batch out.
"""

import contextlib

import keras
from jax import default_backend, process_count, process_index
from jax.experimental import multihost_utils
from keras import ops

from keras_isd.backend.common import *


def guarded_step(model, update_teacher, step, state, batch):
    """As `common.assigning_step`, on values instead of variables."""
    variables = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
    )
    values = [
        pair
        for vs, old_values in zip(variables, state)  # the metrics come last in `state`
        for pair in zip(vs, old_values, strict=True)
    ]
    with keras.StatelessScope(state_mapping=values) as scope:
        update_teacher()
    moved = [scope.get_current_value(v) for v in model.non_trainable_variables]
    logs, new_state = step((state[0], moved, *state[2:]), batch)

    healthy = ops.isfinite(logs["loss"])
    guarded = {id(v) for v in model.guarded_variables()}
    kept = [
        [
            ops.where(healthy, new, old) if id(v) in guarded else new
            for v, new, old in zip(vs, new_values, old_values, strict=True)
        ]
        for vs, new_values, old_values in zip(variables, new_state, state)
    ]
    return logs, (*kept, *new_state[len(kept) :])


def is_one_of_several(model):
    return process_count() > 1


@contextlib.contextmanager
def values_kept(model):
    """Gives variables their values back where Keras loses them.

    Keras takes the values out of the variables for the length of a loop. Where already the first
    step fails, on a batch of a wrong shape say, it never puts them back. `value` of a variable
    without one raises; that there is none tells `_value` alone.
    """
    optimizer = model.optimizer.variables if model.compiled else []
    values = [(v, v._value) for v in (*model.variables, *model.metrics_variables, *optimizer)]
    try:
        yield
    finally:
        for variable, value in values:
            if variable._value is None:
                variable._value = value


def is_sharded(variable):
    distribution = keras.distribution.distribution()
    layout = distribution and distribution.get_variable_layout(variable)
    return bool(layout) and layout.axes[0] is not None


def to_numpy(variable):
    value = variable.value
    if not (value.is_fully_addressable or value.is_fully_replicated):
        value = multihost_utils.process_allgather(value, tiled=True)
    return ops.convert_to_numpy(value)


def has_accelerator():
    return default_backend() != "cpu"


def is_chief(model):
    """Whether this process is the one that writes, the first of several."""
    return process_index() == 0


def check_batch_sizes(model, sizes):
    """Raises a ValueError for a batch that cannot be shared out equally to the devices.

    Each of several processes gives a part of its own to its own devices.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        return
    mesh = distribution.device_mesh
    devices = dict(zip(mesh.axis_names, mesh.shape)).get(distribution.batch_dim_name, 1)
    own = max(devices // process_count(), 1)
    for size in sizes() if devices > 1 else ():
        if size is None or size % own:
            raise ValueError(
                f"Every batch must be shared out equally to {own} devices. Take a multiple of "
                "that for a batch and leave a smaller last one out, with `drop_remainder=True` of "
                "a dataset. Received: a batch of "
                + ("a size not known beforehand" if size is None else f"{size} images")
            )
