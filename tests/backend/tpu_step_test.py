"""A TPU can run the training step: XLA compiles all of it, and every shape is static."""

import keras
import numpy as np
import pytest

from tests.support import golden
from tests.support.processes import run_python

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "TPUStrategy is TensorFlow's; on JAX XLA compiles the whole step", allow_module_level=True
    )

import tensorflow as tf

# Operations that run on the host, or whose output shapes depend on values.
NOT_FOR_A_TPU = {
    "Assert",
    "EagerPyFunc",
    "NonMaxSuppressionV3",
    "PrintV2",
    "PyFunc",
    "StringFormat",
    "Unique",
    "Where",
}


def operations(concrete):
    """The operations of a graph and of the functions that it calls."""
    yield from concrete.graph.get_operations()
    for name in concrete.graph._functions:
        yield from concrete.graph._get_function(name).graph.get_operations()


def trace(step, batch):
    specs = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), batch)
    return tf.function(step, jit_compile=True).get_concrete_function(specs)


def first_batch():
    views, labels = next(golden.Trajectory("isd_plus").batches())
    views = {name: tf.constant(images, tf.float32) for name, images in views.items()}
    return views, tf.constant(labels, tf.int32)


def unfit(concrete):
    return [
        op.name
        for op in operations(concrete)
        if op.type in NOT_FOR_A_TPU or not all(x.shape.is_fully_defined() for x in op.outputs)
    ]


def test_the_step_compiles_with_static_shapes_and_nothing_on_the_host():
    model = golden.golden_model("isd_plus")
    batch = first_batch()
    concrete = trace(model.train_step, batch)
    assert len(list(operations(concrete))) > 500
    assert not unfit(concrete)
    assert np.isfinite(float(concrete(*tf.nest.flatten(batch))["loss"]))


def test_the_step_of_a_replica_compiles_likewise():
    """The graph for two devices has the collective operations; it can be built without a TPU."""
    code = """
import tensorflow as tf
from tests.backend import tpu_step_test as here
from tests.support import replicas_script

with replicas_script.tensorflow_scope(2):
    strategy = tf.distribute.get_strategy()
    model = here.golden.golden_model("isd_plus", synchronized_batch_norm=True)
    step = tf.function(lambda batch: strategy.run(model.train_step, [batch]))
    concrete = step.get_concrete_function(here.first_batch())
    print(len(list(here.operations(concrete))), here.unfit(concrete))
"""
    count, unfit_ones = run_python("-c", code).split(maxsplit=1)
    assert int(count) > 1000
    assert unfit_ones.strip() == "[]"


def test_operations_that_a_tpu_cannot_run_are_found():
    def depends_on_values(batch):
        return tf.where(batch[1] > 2)

    def on_the_host(batch):
        return tf.py_function(lambda x: x, [batch[1]], tf.int32)

    for step in (depends_on_values, on_the_host):
        assert unfit(trace(step, first_batch())), step.__name__
