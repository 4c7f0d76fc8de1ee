"""What holds unless a backend's own file says otherwise: one process, one program for the batch.

And the training step of those backends, TensorFlow and PyTorch, that assign to variables.
"""

import contextlib

import keras
from keras import ops

from keras_isd.compat.keras_internals import all_layers


def restore_unless(healthy, before):
    """Gives variables their values of before back where a step is not healthy."""

    def restore():
        for variable, value in before:
            variable.assign(value)
        return healthy

    # A healthy step then pays for no pass over all weights, and TensorFlow copies none before.
    ops.cond(healthy, lambda: healthy, restore)


def it_is_there(batch):
    """No wait: not `nullcontext` itself, whose argument `torch.compile` cannot trace."""
    return contextlib.nullcontext()


def assigning_step(
    model,
    update_teacher,
    step,
    batch,
    after_reading=it_is_there,
    restore_unless=restore_unless,
):
    """Moves the teacher, takes Keras' own step, and undoes both where the loss is not finite.

    `logs["loss"]` is the mean of the epoch so far: once it is not finite it stays so, and no later
    step trains either until `fit` has stopped.

    Args:
        after_reading: function from the batch to a context in which what is done waits for it.
        restore_unless: function of whether the step is healthy, and of pairs of a variable and its
            value of before.
    """
    before = [(v, ops.stop_gradient(ops.copy(v))) for v in model.guarded_variables()]
    with after_reading(batch):
        update_teacher()
        logs = step(batch)
        restore_unless(ops.isfinite(logs["loss"]), before)
    return logs


def reducible_logs(logs):
    return logs


def values_kept(model):
    return contextlib.nullcontext()


# Variables: as XLA likes it, which fuses, and updates one in place if its old value is done with.

fused_batch_norm = None
convolve = None
max_pool = None


def overwrite_rows(variable, rows, values):
    # Not `slice_update`: it clamps silently where a batch wraps past the end.
    variable.assign(ops.scatter_update(variable, rows[:, None], values))


def is_sharded(variable):
    return False


def to_numpy(variable):
    return ops.convert_to_numpy(variable)


# Devices: one program sees the whole batch.


def replica_count():
    return 1


def all_gather(x):
    return x


def all_sum(x):
    return x


def batch_offset(x):
    return 0, ops.shape(x)[0]


def from_share(loss):
    return loss


def predict_on_batch(model, x):
    return model.predict_on_batch(x)


def synchronize_batch_norm(model):
    """Nothing to do: statistics are of the whole batch."""


def synchronize_layers(model):
    """Makes batch normalisation use the statistics of the whole batch, not of a replica's part."""
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def is_one_of_several(model):
    return False


def is_worker_lost(model, error):
    return False


def is_chief(model):
    return True


def check_compile(model, arguments):
    """Nothing to refuse."""


def check_batch_sizes(model, sizes):
    """Nothing to refuse."""
