import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    # One worker runs per core. With one thread per core in each, the workers block one another:
    # on two cores PyTorch took eight times as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # JAX spends most of its time compiling the same steps in many tests and processes.
    compiled = tempfile.TemporaryDirectory(prefix="keras_isd_compiled_")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

import keras
import pytest


def pytest_collection_modifyitems(items):
    """Skips tests marked `one_backend` unless the backend is TensorFlow."""
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
    """Function that sets the global dtype policy, which is restored after the test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
