"""Models and checkpoints of version 0.1.0 load and resume with the losses of that version."""

import json
import shutil

import keras
import numpy as np
import pytest

import keras_isd
from tests.support import earlier_version, golden

FILES = golden.DATA / "version_0_1"
LOSSES = json.loads((FILES / "losses.json").read_text())
BACKEND = keras.backend.backend()


@pytest.mark.parametrize("case", earlier_version.CASES)
def test_a_saved_model_resumes_training(case):
    model = keras.models.load_model(FILES / f"{case}_{BACKEND}.keras")
    losses = earlier_version.next_losses(model, case)
    np.testing.assert_allclose(losses, LOSSES[f"{case}_{BACKEND}"], rtol=1e-5)


@pytest.mark.parametrize("case", earlier_version.CASES)
def test_a_run_resumes_from_its_checkpoint(case, tmp_path):
    shutil.copy(
        FILES / f"{case}_{BACKEND}.checkpoint", tmp_path / "epoch000001_step000000.checkpoint"
    )
    resume = keras_isd.callbacks.Resume(tmp_path)
    assert resume.initial_epoch == 1
    model = earlier_version.make(case)
    losses = earlier_version.next_losses(model, case, callbacks=[resume])
    np.testing.assert_allclose(losses, LOSSES[f"{case}_{BACKEND}"], rtol=1e-5)


@pytest.mark.parametrize("case", [case for case in earlier_version.CASES if case != "isd_views"])
@pytest.mark.parametrize("writer", ["tensorflow", "jax", "torch"])
def test_a_model_saved_under_another_backend_resumes_training(case, writer):
    """Except for a model that draws its views, since each backend draws its own."""
    model = keras.models.load_model(FILES / f"{case}_{writer}.keras")
    losses = earlier_version.next_losses(model, case)
    np.testing.assert_allclose(losses, LOSSES[f"{case}_{writer}"], rtol=1e-3)
