"""The defaults of all backends: one process, and one program that sees the whole batch.

Also the training step of the backends that assign to variables: TensorFlow and PyTorch.
"""

import contextlib

import keras
from keras import ops

from keras_isd.compat.keras_internals import all_layers


def restore_unless(healthy, before):
    """Restores variables to their values from before a step that is not healthy."""

    def restore():
        for variable, value in before:
            variable.assign(value)
        return healthy

    # A healthy step then makes no pass over all weights, and TensorFlow copies none beforehand.
    ops.cond(healthy, lambda: healthy, restore)


def no_dependency(batch):
    """A context that waits for nothing; `torch.compile` cannot trace `nullcontext(batch)`."""
    return contextlib.nullcontext()


def assigning_step(
    model,
    update_teacher,
    step,
    batch,
    after_reading=no_dependency,
    restore_unless=restore_unless,
):
    """Moves the teacher, runs Keras' own step, and undoes both if the loss is not finite.

    `logs["loss"]` is the mean of the epoch so far: once it is not finite it stays so, and no later
    step trains either until `fit` has stopped.

    Args:
        after_reading: function from the batch to a context whose operations run after the batch was
            read. Defaults to `no_dependency`.
        restore_unless: function of a flag, whether the step is healthy, and of pairs of a variable
            and its value from before the step. Defaults to `restore_unless`.
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


# Variables: XLA fuses operations, and updates a variable in place once its old value was read.

fused_batch_norm = None
convolve = None
max_pool = None


def overwrite_rows(variable, rows, values):
    # `slice_update` would clamp silently if a batch wraps past the end.
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
    """Does nothing: statistics already cover the whole batch."""


def synchronize_layers(model):
    """Makes batch normalisation use the whole batch's statistics, not those of a replica's part."""
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
    """Accepts everything."""


def check_batch_sizes(model, sizes):
    """Accepts everything."""
