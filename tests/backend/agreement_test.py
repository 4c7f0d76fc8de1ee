"""The three backends agree."""

import importlib.util

import keras
import numpy as np
import pytest

from tests.support.processes import run_python

OTHERS = [name for name in ("tensorflow", "jax", "torch") if name != keras.backend.backend()]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    out = tmp_path_factory.mktemp("here") / "run.npz"
    run_python("-m", "tests.support.training_script", out, "--steps", 20)
    return np.load(out)


@pytest.mark.one_backend("each is compared with TensorFlow")
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
def test_functions_without_tensorflow_do_not_import_it(tmp_path):
    code = f"""
import sys
import numpy as np
from PIL import Image
import keras_isd

image = np.zeros((9, 9, 3), "uint8")
Image.fromarray(image).save("{tmp_path}/1.png")
source = keras_isd.data.from_folder("{tmp_path}")
assert len(source.subset([0])) == len(source.names) == 1
source = keras_isd.data.from_arrays(np.stack(4 * [image]), [0, 1, 0, 1])
rows = keras_isd.data.label_fraction(source.labels, 0.5)
view = keras_isd.augmentation.evaluation(8)
[(views, labels)] = keras_isd.data.ViewBatches(np.stack(2 * [image]), source.labels[rows], view, 2)
[(images,)] = keras_isd.data.ArrayBatches(views, batch_size=2)
print([m for m in ("tensorflow", "keras_cv", "tensorflow_datasets") if m in sys.modules])
"""
    assert run_python("-c", code, fresh=True).strip() == "[]"
