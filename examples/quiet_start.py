"""Imports TensorFlow without its start-up chatter; each example that uses it imports this first.

`TF_CPP_MIN_LOG_LEVEL` alone does not keep it out (tensorflow/tensorflow issue 100442), so that what
TensorFlow writes to standard error while it is imported is held back, and shown if that fails.
"""

import logging
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with tempfile.TemporaryFile() as said:
    standard_error = os.dup(2)
    os.dup2(said.fileno(), 2)
    try:
        import tensorflow  # noqa: F401
    except ModuleNotFoundError:
        pass  # nothing to keep quiet; what needs it says so
    except BaseException:
        said.seek(0)
        os.write(standard_error, said.read())
        raise
    finally:
        sys.stderr.flush()
        os.dup2(standard_error, 2)
        os.close(standard_error)

from absl import logging as absl_logging

absl_logging.set_verbosity(absl_logging.WARNING)  # TensorFlow Datasets tells of every file
# Where several classifiers are trained, that each is a function of its own.
logging.getLogger("tensorflow").setLevel(logging.ERROR)
