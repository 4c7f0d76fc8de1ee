"""The examples run from the command line, as printed in the README."""

import os
import pathlib
import re

import keras
import pytest

import keras_isd  # noqa: F401, registers the classes of saved models
from tests.support.processes import ROOT, run_python

pytestmark = pytest.mark.slow
CIFAR = pathlib.Path(os.environ.get("KERAS_ISD_DATA", ROOT.parent / "shared/data/tfds"))


def table(output, row):
    found = re.search(rf"^{re.escape(row)}\s+([\d. ]+)$", output, re.MULTILINE)
    assert found, output[-2000:]
    return [float(value) for value in found.group(1).split()]


def test_quickstart_learns_in_a_third_of_its_epochs():
    output = run_python("examples/quickstart.py", "--epochs=40", quiet=True)
    untrained, student = table(output, "untrained network"), table(output, "trained student")
    assert len(table(output, "pixels")) == 3
    assert student[0] > untrained[0] + 0.06  # 1-shot
    assert student[1] > untrained[1] + 0.03  # 5-shot


@pytest.mark.one_backend("layers of Keras on maps that are tested on each backend")
def test_segmentation_compares_heads_and_networks_with_and_without_pretraining():
    arguments = ("--epochs=1", "--images=128", "--steps=4")
    output = run_python("examples/segmentation.py", *arguments)
    for trained in ("head alone", "whole network"):
        for network in ("untrained", "pretrained"):
            (value,) = table(output, f"{network}, {trained}")
            assert 0 < value < 0.5


@pytest.mark.data
@pytest.mark.nightly
@pytest.mark.skipif(not CIFAR.is_dir(), reason=f"CIFAR-10 is not in {CIFAR}")
@pytest.mark.one_backend("model and data are tested on each backend")
def test_cifar_runs_on_real_images_saves_and_resumes(tmp_path):
    saved = tmp_path / "models" / "cifar.keras"
    arguments = ("--preset=smoke", f"--data_dir={CIFAR}", f"--output={saved}")
    run = (*arguments, f"--resume={tmp_path / 'checkpoints'}")
    output = run_python("examples/cifar.py", *run, quiet=True)
    assert "256 training and 64 test images of cifar10" in output
    for row in ("1-NN", "20-NN", "200-NN, weighted"):
        assert all(0.05 < value < 0.5 for value in table(output, row))
    assert keras.models.load_model(saved).student_backbone.output_shape == (None, 16)
    resumed = run_python("examples/cifar.py", *run, "--epochs=2")
    assert "Epoch 2/2" in resumed
    assert "Epoch 1/2" not in resumed


@pytest.mark.one_backend("tests flags only")
def test_cifar_refuses_an_output_that_cannot_be_saved():
    with pytest.raises(AssertionError, match=r"must end in \.keras"):
        run_python("examples/cifar.py", "--preset=smoke", "--output=runs/isd_0.05")
