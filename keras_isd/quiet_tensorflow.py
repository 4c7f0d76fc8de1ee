"""TensorFlow for reading data where another backend computes: quiet, and without the accelerator.

Its start-up lines are not kept out by `TF_CPP_MIN_LOG_LEVEL` alone (tensorflow/tensorflow issue
100442; JAX sets that variable too), so that what is written to standard error during the import is
held back, and shown if that fails. On its first use TensorFlow would take nearly all memory of each
GPU, which the other backend needs. Whoever imports TensorFlow first has it as it is.
"""

import contextlib
import os
import sys
import tempfile

import keras


@contextlib.contextmanager
def _standard_error_held_back():
    if sys.stderr is None:  # of a process without one, that has nothing to keep quiet
        yield
        return
    with tempfile.TemporaryFile() as said:
        standard_error = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(standard_error, said.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)


if "tensorflow" not in sys.modules:
    with _standard_error_held_back():
        import tensorflow

        if keras.backend.backend() != "tensorflow":
            for kind in ("GPU", "TPU"):
                tensorflow.config.set_visible_devices([], kind)

import tensorflow as tf  # noqa: E402, F401
