"""Starts the command `keras-isd`, without the lines that TensorFlow writes when it is imported.

A module beside the package: to import any part of that loads Keras, and TensorFlow with it.
"""

import logging
import os
import sys
import tempfile


def main():
    """Runs the command's arguments, and exits with its status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # That variable alone does not keep them out (tensorflow/tensorflow issue 100442).
    with tempfile.TemporaryFile() as said:
        standard_error = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            from keras_isd.command.main import run
        except BaseException:
            said.seek(0)
            os.write(standard_error, said.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.exit(run(sys.argv))


if __name__ == "__main__":
    main()
