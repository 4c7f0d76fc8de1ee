"""Imports TensorFlow without its start-up chatter; each example that uses it imports this first."""

import contextlib
import logging
import os

from keras_isd_start import standard_error_held_back

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Where it is not installed there is nothing to keep quiet; what needs it says so.
with standard_error_held_back(), contextlib.suppress(ModuleNotFoundError):
    import tensorflow  # noqa: F401

from absl import logging as absl_logging

absl_logging.set_verbosity(absl_logging.WARNING)  # TensorFlow Datasets tells of every file
# Where several classifiers are trained, that each is a function of its own.
logging.getLogger("tensorflow").setLevel(logging.ERROR)
