"""TensorFlow: a graph of assignments; each replica of a `tf.distribute` strategy runs its part."""

import tensorflow as tf
from keras import ops

from keras_isd.backend import common
from keras_isd.backend.common import *


def guarded_step(model, update_teacher, step, batch):
    logs = common.assigning_step(model, update_teacher, step, batch, after_reading, restore_unless)
    return reducible_logs(logs)


def after_reading(batch):
    """Context whose operations run after the batch was read.

    A graph runs independent operations in any order, and Keras reads the batch inside the graph of
    the step. If the length of the data is not known, a last step starts and fails when it reads; by
    then variables that do not depend on the batch, such as the teacher, the step count and random
    seeds, could have changed.
    """
    tensors = [x for x in tf.nest.flatten(batch) if x is not None]
    return tf.control_dependencies([*tensors, *assert_none_is_empty(tensors[0])])


def restore_unless(healthy, before):
    if not tf.distribute.has_strategy():
        common.restore_unless(healthy, before)
        return
    for variable, value in before:  # a replica cannot assign inside a condition
        variable.assign(ops.where(healthy, variable, value))


def replica_count():
    """The number of replicas that run this step; 1 outside a step."""
    if tf.distribute.in_cross_replica_context():
        return 1
    return tf.distribute.get_strategy().num_replicas_in_sync


def all_gather(x):
    """The rows of every replica's `x`, in the order of the replicas, the same on each."""
    if replica_count() == 1:
        return x
    context = tf.distribute.get_replica_context()
    x = tf.identity(x)  # variables are not accepted
    if tf.executing_eagerly() or not x.shape.is_fully_defined():
        return context.all_gather(x, axis=0)
    # A TPU needs a static shape, which `all_gather` does not give: sum the replicas' arrays, each
    # with its own rows in place and zeros elsewhere.
    places = tf.reshape(tf.range(replica_count()), [-1] + [1] * x.shape.rank)
    own = tf.equal(places, context.replica_id_in_sync_group)
    parts = all_sum(tf.where(own, x, tf.zeros_like(x)))
    return tf.reshape(parts, [replica_count() * x.shape[0], *x.shape[1:]])


def batch_offset(x):
    """The position of this replica's first row among all rows, and their number."""
    if replica_count() == 1:
        return 0, tf.shape(x)[0]
    rows = all_gather(tf.shape(x)[:1])
    own = tf.distribute.get_replica_context().replica_id_in_sync_group
    return tf.reduce_sum(tf.where(tf.range(replica_count()) < own, rows, 0)), tf.reduce_sum(rows)


def all_sum(x):
    """The sum of every replica's `x`, the same on each. Gradients flow from every replica."""
    if replica_count() == 1:
        return x
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, x)


def assert_none_is_empty(x):
    """Operations, at most one, that fail on every replica if one has no rows of its `x`.

    Such a replica has no batch statistics, and its empty convolutions fail or crash on a CPU.
    """
    if replica_count() == 1 or x.shape[0] is not None:
        return []
    rows = all_gather(tf.shape(x)[:1])
    message = (
        "Every replica must get images of each batch. Drop a smaller last batch with "
        "`drop_remainder=True`, or change the batch size. Received images by replica:"
    )
    return [tf.debugging.Assert(tf.reduce_all(rows > 0), [message, rows])]


def check_batch_sizes(model, sizes):
    """Raises a ValueError for a batch that leaves a replica without images.

    Keras splits every batch by the parts of the largest one.
    """
    replicas = model.distribute_strategy.num_replicas_in_sync
    if replicas == 1:
        return
    known = sizes() - {None}
    if not known:
        return  # checked in the step
    part = -(-max(known) // replicas)
    if min(known) <= (replicas - 1) * part:
        raise ValueError(
            f"Every batch must have images for each of {replicas} replicas, up to {part} "
            "each. Change the batch size, or drop a smaller last batch. "
            f"Received: batches of {sorted(known)} images"
        )


def reducible_logs(logs):
    """The logs of a step in a form that Keras can average over all replicas.

    Under MultiWorkerMirroredStrategy Keras 3.15 averages over the first axis, which a scalar does
    not have: `reduce_per_replica` in its `backend/tensorflow/trainer.py`.
    """
    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and replica_count() > 1:
        return {name: tf.reshape(value, (1,)) for name, value in logs.items()}
    return logs


def has_accelerator():
    return any(tf.config.list_physical_devices(kind) for kind in ("GPU", "TPU"))


def is_chief(model):
    """Whether this is the process that writes files: the chief of several workers."""
    return model.distribute_strategy.extended.should_checkpoint


def is_one_of_several(model):
    """Whether this process trains together with others."""
    return isinstance(model.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_worker_lost(model, error):
    """Whether an error in a step of several workers means that another one was lost."""
    return is_one_of_several(model) and isinstance(
        error, (tf.errors.UnavailableError, tf.errors.AbortedError)
    )


synchronize_batch_norm = common.synchronize_layers


def check_compile(model, arguments):
    """Raises a ValueError for options that Keras 3.15 does not support on several replicas."""
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1 or isinstance(strategy, tf.distribute.TPUStrategy):
        return
    optimizer = arguments["optimizer"]
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # inside loss scaling
    unsupported = {
        "jit_compile": arguments.get("jit_compile") is True,
        "steps_per_execution": arguments.get("steps_per_execution", 1) != 1,
        "gradient_accumulation_steps of the optimizer": bool(
            getattr(optimizer, "gradient_accumulation_steps", None)
        ),
    }
    for name, given in unsupported.items():
        if given:
            raise ValueError(
                f"Keras does not support `{name}` under {type(strategy).__name__}: remove it. "
                f"Received: {arguments}"
            )
