"""Starts the command `keras-isd`, without the lines that TensorFlow writes when it is imported.

A module beside the package: to import any part of that loads Keras, and TensorFlow with it.
"""

import contextlib
import logging
import os
import sys
import tempfile


@contextlib.contextmanager
def standard_error_held_back():
    """Context of an import: what is written to standard error is shown if it fails, else dropped.

    `TF_CPP_MIN_LOG_LEVEL` alone does not keep TensorFlow's start-up lines out
    (tensorflow/tensorflow issue 100442), which its C++ writes past Python's `sys.stderr`.
    """
    if sys.stderr is None:  # of a process without one, that has nothing to keep quiet
        yield
        return
    with tempfile.TemporaryFile() as said:
        standard_error = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            said.seek(0)
            os.write(standard_error, said.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)


def main():
    """Runs the command's arguments, and exits with its status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with standard_error_held_back():
        from keras_isd.command.main import run
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.exit(run(sys.argv))


if __name__ == "__main__":
    main()
