"""TensorFlow for reading data where another backend computes: quiet, and without the accelerator.

Its start-up lines are not kept out by `TF_CPP_MIN_LOG_LEVEL` alone (tensorflow/tensorflow issue
100442; JAX sets that variable too), so that what is written to standard error during the import is
held back, and shown if that fails. On its first use TensorFlow would take nearly all memory of each
GPU, which the other backend needs. Whoever imports TensorFlow first has it as it is.
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
