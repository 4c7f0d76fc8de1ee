"""Pipelines import TensorFlow without its start-up messages."""

import pytest

from tests.support.processes import run_python

pytest.importorskip("tensorflow", reason="pipelines are tf.data's")

CODE = """
import sys, keras_isd, numpy as np
before = "tensorflow" in sys.modules
images = np.random.RandomState(0).randint(0, 256, (8, 8, 8, 3)).astype("uint8")
weak = keras_isd.augmentation.weak(8)
batches = keras_isd.data.two_view_dataset(keras_isd.data.from_arrays(images), weak, weak, 4)
print(before, len(list(batches)), "tensorflow" in sys.modules)
"""


@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.nightly), "torch"])
@pytest.mark.one_backend("the test starts the other backends itself")
def test_the_first_import_of_tensorflow_prints_nothing(backend):
    pytest.importorskip(backend, reason=f"needs {backend}")
    output = run_python("-c", CODE, quiet=True, KERAS_BACKEND=backend)
    assert output.split() == ["False", "2", "True"]


@pytest.mark.nightly
@pytest.mark.one_backend("the test starts another backend itself")
def test_a_process_without_standard_error_can_import_tensorflow():
    pytest.importorskip("torch", reason="needs torch")
    code = "import sys; sys.stderr = None; import keras_isd.data.tf_data.datasets; print(1)"
    assert run_python("-c", code, KERAS_BACKEND="torch").strip() == "1"
