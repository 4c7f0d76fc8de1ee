"""The output of `train` that docs/folder.md shows is the output of `train`."""

import contextlib
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import keras_isd
from keras_isd.command import train
from keras_isd.command.main import main
from keras_isd.data.fingerprint import source_fingerprint
from keras_isd.training.progress import ProgressLine, epochs_that_fit
from tests.support.processes import ROOT

pytestmark = pytest.mark.one_backend("text is the same under any backend")
BLOCKS = (ROOT / "docs" / "folder.md").read_text().split("```")[1::2]
SHOWN = next(block for block in BLOCKS if block.startswith("\n")).strip().splitlines()


def shape(line):
    """A line without its numbers and folders."""
    return re.sub(r"\S*/(?=\S+\.(?:keras|html))|[\d,.]+", "", line).split()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """252 files of the size that the guide's photographs have."""
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(252):
        Image.new("RGB", (400, 373), (number, 0, 0)).save(folder / f"{number:03}.jpg")
    return keras_isd.data.from_folder(folder)


def test_the_settings_are_chosen_for_these_reasons(photographs):
    settings = keras_isd.training.choose_settings(photographs, accelerator=False, epochs=100)
    assert list(train.describe(photographs, settings)) == SHOWN[:11]


def test_the_estimate_and_the_progress_have_these_forms(photographs):
    settings = keras_isd.training.choose_settings(photographs, accelerator=False, epochs=100)
    lines = []
    epochs_that_fit(settings, (1.0, 6.0), 3, np.inf, lines.append)
    progress = ProgressLine(lines.append)
    progress.set_params({"epochs": 100})
    progress.on_train_begin()
    progress.on_epoch_begin(0)
    metrics = {"loss": 4.0, "view_retrieval": 0.24, "neighbor_stability": 0.88, "feature_rank": 8.0}
    progress.on_epoch_end(0, metrics)
    assert [*map(shape, lines)] == [*map(shape, SHOWN[12:14])]


def test_a_run_ends_with_these_lines(tmp_path):
    pytest.importorskip("bokeh", reason="the report has a map by Bokeh")
    images = np.random.RandomState(0).randint(0, 256, (40, 24, 24, 3)).astype("uint8")
    np.savez(tmp_path / "images.npz", images=images)
    line = ["train", f"{tmp_path}/images.npz", f"--output={tmp_path}/run", "--stored_size=12"]
    line += ["--size=12", "--epochs=1", "--batch_size=12"]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert main(line) == 0
    printed = output.getvalue().replace(f"{tmp_path}/", "").splitlines()
    assert printed[-2:] == SHOWN[-2:]
    assert SHOWN[11] in printed
    # The images identify the run, not their smaller copies.
    source = keras_isd.data.from_arrays(images)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["images"]["fingerprint"] == source_fingerprint(source)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert main(line) == 0
    assert "The run is finished." in output.getvalue()
