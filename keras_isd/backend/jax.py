"""JAX: a step is a function from state to state, and one program sees the whole batch.

JAX splits the batch among the devices of a `keras.distribution`.
"""

import contextlib

import keras
from jax import default_backend, process_count, process_index
from jax.experimental import multihost_utils
from keras import ops

from keras_isd.backend.common import *


def guarded_step(model, update_teacher, step, state, batch):
    """Like `common.assigning_step`, on values instead of variables."""
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
    """Context that restores the values of variables if Keras loses them.

    Keras takes the values out of the variables for the length of a loop. If the first step fails,
    for example on a batch of a wrong shape, it never puts them back. `value` raises for a variable
    without a value; only `_value` shows that it has none.
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
    """Whether this is the process that writes files: the first of several."""
    return process_index() == 0


def check_batch_sizes(model, sizes):
    """Raises a ValueError for a batch that cannot be split equally among the devices.

    Each of several processes splits its own part among its own devices.
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
                f"Every batch must be a multiple of {own}, to be split equally among the devices. "
                "Drop a smaller last batch, with `drop_remainder=True` of a dataset. Received: a "
                "batch of " + ("unknown size" if size is None else f"{size} images")
            )
