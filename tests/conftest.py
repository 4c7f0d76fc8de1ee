import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a worker per core. With a thread per core in each of them they wait for one another:
    # on two cores PyTorch took eight times as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # Most of JAX's time is compilation, of the same steps in many tests and their processes.
    compiled = tempfile.TemporaryDirectory(prefix="keras_isd_compiled_")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

import keras
import pytest


def pytest_collection_modifyitems(items):
    """What does not depend on the backend is tested under one."""
    if keras.backend.backend() == "tensorflow":
        return
    for item in items:
        if marker := item.get_closest_marker("one_backend"):
            reason = f"{marker.args[0]}: run once, under TensorFlow"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _fixed_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture
def mixed_precision():
    """Function that sets the global dtype policy; it is set back after the test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
