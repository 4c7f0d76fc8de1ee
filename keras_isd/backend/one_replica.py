"""Where one program sees the whole batch, and on one device: PyTorch, and what JAX shares of it."""

import os

from keras import ops


def count():
    return 1


def gather(x):
    return x


def place_in_batch(x):
    return 0, ops.shape(x)[0]


def total(x):
    return x


def check_batch_sizes(model, sizes):
    """Nothing to refuse."""


def for_fit(logs):
    return logs


def writes_files(model):
    return True


def is_worker_lost(model, error):
    return False


def synchronize_batch_norm(model):
    """Nothing to do: statistics are of the whole batch."""


def check_compile(model, arguments):
    """Raises a ValueError in one of several processes of PyTorch, which Keras does not join."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if processes > 1:
        raise ValueError(
            "On PyTorch Keras trains in one process on one device: these would train models of "
            "their own. For many devices set KERAS_BACKEND to jax or tensorflow. "
            f"Received: WORLD_SIZE={processes}"
        )


def to_numpy(variable):
    return ops.convert_to_numpy(variable)
