"""The examples run from the command line, as printed in the README."""

import json
import os
import pathlib
import re

import pytest

import keras_isd
from tests.processes import ROOT, run_python

CIFAR = pathlib.Path(os.environ.get("KERAS_ISD_DATA", ROOT.parent / "shared/data/tfds"))


def table(output, row):
    found = re.search(rf"^{re.escape(row)}\s+([\d. ]+)$", output, re.MULTILINE)
    assert found, output[-2000:]
    return [float(value) for value in found.group(1).split()]


def test_quickstart_learns_in_a_third_of_its_epochs():
    output = run_python("examples/quickstart.py", "--epochs=40")
    untrained, student = table(output, "untrained network"), table(output, "trained student")
    assert len(table(output, "pixels")) == 3
    assert student[0] > untrained[0] + 0.06  # 1-shot
    assert student[1] > untrained[1] + 0.04  # 5-shot


def test_quickstart_goes_on_where_it_stopped(tmp_path):
    whole = run_python("examples/quickstart.py", "--epochs=4")
    run_python("examples/quickstart.py", "--epochs=4", f"--resume={tmp_path}")
    for checkpoint in sorted(tmp_path.iterdir())[1:]:
        checkpoint.unlink()  # as if the last epoch had been lost
    resumed = run_python("examples/quickstart.py", "--epochs=4", f"--resume={tmp_path}")
    assert "Epoch 4/4" in resumed
    assert "Epoch 3/4" not in resumed
    for row in ("untrained network", "trained student", "trained teacher"):
        assert table(resumed, row) == table(whole, row)


@pytest.mark.data
@pytest.mark.skipif(not CIFAR.is_dir(), reason=f"CIFAR-10 is not in {CIFAR}")
def test_cifar_runs_on_real_images_and_saves(tmp_path):
    saved = tmp_path / "models" / "cifar.keras"
    arguments = ("--preset=smoke", f"--data_dir={CIFAR}", f"--output={saved}")
    views = tmp_path / "views.png"
    output = run_python("examples/cifar.py", *arguments, f"--plot_views={views}")
    assert views.stat().st_size > 10_000
    for row in ("1-NN", "20-NN", "200-NN, weighted"):
        before, after = table(output, row)
        assert 0.05 < before < 0.5
        assert 0.05 < after < 0.5
    assert saved.is_file()
    again = run_python("examples/cifar.py", *arguments)
    assert table(again, "20-NN") == table(output, "20-NN")  # one seed, one run


@pytest.mark.data
@pytest.mark.skipif(not CIFAR.is_dir(), reason=f"CIFAR-10 is not in {CIFAR}")
def test_evaluate_has_each_protocol_in_its_table_its_file_and_its_report(tmp_path):
    saved = tmp_path / "model.keras"
    backbone = keras_isd.backbones.ConvNet((32, 32, 3), filters=(8, 16))
    keras_isd.ISDModel(backbone, queue_size=16).save(saved)
    output = run_python(
        "examples/evaluate.py",
        f"--model={saved}",
        f"--data_dir={CIFAR}",
        "--train_split=train[:400]",
        "--test_split=test[:200]",
        "--protocols=knn,linear,few_labels,transfer,unbalanced",
        "--transfer_to=cifar10",
        f"--output={tmp_path}",
    )
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    report = (tmp_path / "report.html").read_text()
    names = list(results["student"])
    assert len(names) == 14
    for name in names:
        values = [results[network][name] for network in ("student", "teacher")]
        assert table(output, name) == [round(value, 3) for value in values]
        assert 0 <= values[0] <= 1
        assert f"<td>{name}</td><td>{values[0]:.3f}</td>" in report
    assert results["student"] == results["teacher"]  # before any training
    assert report.count('src="data:image/png;base64,') == 2
    assert "http" not in report
    assert (tmp_path / "student_embedding.png").stat().st_size > 1000


def test_evaluate_refuses_a_protocol_that_it_does_not_know():
    with pytest.raises(AssertionError, match=r"Received: \['knnn'\]"):
        run_python("examples/evaluate.py", "--model=none", "--protocols=knnn")
