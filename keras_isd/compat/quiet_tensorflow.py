"""Imports TensorFlow for reading data: without its start-up messages, and without the accelerator.

`TF_CPP_MIN_LOG_LEVEL` alone does not suppress the messages (tensorflow/tensorflow issue 100442; JAX
sets that variable too). So standard error is held back during the import, and shown if the import
fails. If another backend computes, TensorFlow must not see the GPUs: on its first use it would
reserve nearly all of their memory. If TensorFlow was imported before, it stays as it is.

A module of its own, because the import itself has the effect: the modules that read data import
`tf` from here.
"""

import sys

import keras

from keras_isd_start import standard_error_held_back

if "tensorflow" not in sys.modules:
    with standard_error_held_back():
        import tensorflow

        if keras.backend.backend() != "tensorflow":
            for kind in ("GPU", "TPU"):
                tensorflow.config.set_visible_devices([], kind)

import tensorflow as tf  # noqa: F401
