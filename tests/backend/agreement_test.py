"""The three backends are one program."""

import importlib.util

import keras
import numpy as np
import pytest

from tests.support import golden
from tests.support.processes import run_python

OTHERS = [name for name in ("tensorflow", "jax", "torch") if name != keras.backend.backend()]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    out = tmp_path_factory.mktemp("here") / "run.npz"
    run_python("-m", "tests.support.training_script", out, "--steps", 20)
    return np.load(out)


@pytest.mark.parametrize("other", OTHERS)
def test_twenty_further_steps_agree_with_another_backend(here, other, tmp_path):
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is not installed")
    out = tmp_path / "run.npz"
    run_python("-m", "tests.support.training_script", out, "--steps", 20, KERAS_BACKEND=other)
    with np.load(out) as there:
        np.testing.assert_allclose(here["loss"], there["loss"], rtol=1e-4)
        np.testing.assert_allclose(here["purity"], there["purity"], atol=1e-6)
        assert set(here.files) == set(there.files)
        for name in here.files:
            np.testing.assert_allclose(here[name], there[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.skipif("tensorflow" not in OTHERS, reason="TensorFlow is the backend")
def test_importing_the_package_loads_neither_tensorflow_nor_keras_cv():
    code = (
        "import sys, keras_isd; keras_isd.ISDModel; "
        "print([m for m in ('tensorflow', 'keras_cv', 'tensorflow_datasets') if m in sys.modules])"
    )
    assert run_python("-c", code).strip() == "[]"


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="other backends join processes")
def test_several_processes_of_pytorch_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun sets it
    with pytest.raises(ValueError, match=r"KERAS_BACKEND to jax or tensorflow.*WORLD_SIZE=2"):
        golden.golden_model("isd_plus")
