"""Pipelines bring TensorFlow in without its start-up lines."""

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


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.one_backend("the other backends are started in it")
def test_tensorflow_says_nothing_when_it_is_first_needed(backend):
    pytest.importorskip(backend, reason=f"needs {backend}")
    said = run_python("-c", CODE, quiet=True, KERAS_BACKEND=backend)
    assert said.split() == ["False", "2", "True"]


@pytest.mark.one_backend("another backend is started in it")
def test_a_process_without_standard_error_imports_tensorflow_too():
    pytest.importorskip("torch", reason="needs torch")
    code = "import sys; sys.stderr = None; import keras_isd.data.tf_data.datasets; print(1)"
    assert run_python("-c", code, KERAS_BACKEND="torch").strip() == "1"
