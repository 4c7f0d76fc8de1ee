"""TensorFlow, imported without its start-up lines where another backend has not needed it yet.

`TF_CPP_MIN_LOG_LEVEL` alone does not keep them out (tensorflow/tensorflow issue 100442), so that
what is written to standard error during the import is held back, and shown if that fails.
"""

import os
import sys
import tempfile

if "tensorflow" not in sys.modules:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryFile() as said:
        standard_error = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            said.seek(0)
            os.write(standard_error, said.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)

import tensorflow as tf

__all__ = ["tf"]
