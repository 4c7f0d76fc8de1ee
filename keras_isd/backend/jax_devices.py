"""The devices of a `keras.distribution`: one program sees the whole batch, JAX shares it out."""

import jax
import keras
from jax.experimental import multihost_utils
from keras import ops

from keras_isd.backend.one_replica import count as count
from keras_isd.backend.one_replica import for_fit as for_fit
from keras_isd.backend.one_replica import gather as gather
from keras_isd.backend.one_replica import is_worker_lost as is_worker_lost
from keras_isd.backend.one_replica import place_in_batch as place_in_batch
from keras_isd.backend.one_replica import synchronize_batch_norm as synchronize_batch_norm
from keras_isd.backend.one_replica import total as total


def check_compile(model, arguments):
    """Nothing to refuse."""


def check_batch_sizes(model, sizes):
    """Raises a ValueError for a batch that cannot be shared out equally to the devices.

    Each of several processes gives a part of its own to its own devices.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        return
    mesh = distribution.device_mesh
    devices = dict(zip(mesh.axis_names, mesh.shape)).get(distribution.batch_dim_name, 1)
    own = max(devices // jax.process_count(), 1)
    for size in sizes() if devices > 1 else ():
        if size is None or size % own:
            raise ValueError(
                f"Every batch must be shared out equally to {own} devices. Take a multiple of "
                "that for a batch and leave a smaller last one out, with `drop_remainder=True` of "
                "a dataset. Received: a batch of "
                + ("a size not known beforehand" if size is None else f"{size} images")
            )


def writes_files(model):
    """Whether this process is the one that writes, the first of several."""
    return jax.process_index() == 0


def to_numpy(variable):
    """The whole of a variable, of which each process may hold a part."""
    value = variable.value
    if not (value.is_fully_addressable or value.is_fully_replicated):
        value = multihost_utils.process_allgather(value, tiled=True)
    return ops.convert_to_numpy(value)
