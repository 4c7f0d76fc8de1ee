"""Starts the command line `keras-isd`: arguments are parsed before Keras is imported.

This module lies outside the package, because `import keras_isd` imports Keras and its backend,
which takes seconds.
"""

import contextlib
import importlib.util
import logging
import os
import sys
import tempfile


def main():
    """Runs the command line of this process, and exits with its status."""
    _set_log_level()
    _defer_package()
    from keras_isd.command.main import main as run

    sys.exit(run())


def load_package():
    """Imports the contents of the package, if `main` deferred it, and sets up quiet logs."""
    package = sys.modules["keras_isd"]
    if hasattr(package, "__all__"):
        return
    with standard_error_held_back():
        package.__spec__.loader.exec_module(package)  # type: ignore[union-attr]
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.WARNING)
    absl_logging.use_absl_handler()
    absl_logging.get_absl_handler().setFormatter(None)  # the message alone


@contextlib.contextmanager
def quiet_start():
    """Context of a program's first `import keras`: without the backend's start-up messages.

    Later messages of TensorFlow's C++ are suppressed too, unless `TF_CPP_MIN_LOG_LEVEL` is set.
    """
    _set_log_level()
    with standard_error_held_back():
        yield


@contextlib.contextmanager
def standard_error_held_back():
    """Context of an import: drops its output on standard error, and shows it only if it fails.

    `TF_CPP_MIN_LOG_LEVEL` alone does not suppress TensorFlow's start-up lines
    (tensorflow/tensorflow issue 100442), which its C++ writes past Python's `sys.stderr`.
    """
    if sys.stderr is None:  # a process without one has nothing to suppress
        yield
        return
    with tempfile.TemporaryFile() as output:
        standard_error = os.dup(2)
        os.dup2(output.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            output.seek(0)
            os.write(standard_error, output.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)


def _set_log_level():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _defer_package():
    """Puts the package into `sys.modules` without running its `__init__`.

    Modules of `keras_isd.command` can then be imported, which build the parser with the standard
    library alone.
    """
    if "keras_isd" not in sys.modules:
        spec = importlib.util.find_spec("keras_isd")
        sys.modules["keras_isd"] = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
