"""Logical devices of one machine, to measure what sharing a step out costs."""

import contextlib
import os


def make(count):
    """Has JAX see so many devices; call it before anything else of Keras."""
    if count > 1:
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={count}"


def scope(count):
    """Context in which a model is made for so many devices, each of which has a part of a batch."""
    import keras

    if count == 1:
        return contextlib.nullcontext()
    if keras.backend.backend() == "jax":
        keras.distribution.set_distribution(keras.distribution.DataParallel())
        return contextlib.nullcontext()
    import tensorflow as tf

    [cpu] = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, parts)
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)]).scope()


def split_queue():
    """Context in which a model of JAX has a part of its queue on each device."""
    import keras

    mesh = keras.distribution.DataParallel().device_mesh
    layouts = keras.distribution.LayoutMap(mesh)
    layouts["queue/embeddings$"] = ("batch", None)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    )
    return contextlib.nullcontext()
