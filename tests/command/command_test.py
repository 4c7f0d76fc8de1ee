"""The command line, from a folder of images to tables."""

import contextlib
import csv
import io
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

import keras_isd
from keras_isd.command import cluster, outliers, select, train
from keras_isd.command.main import COMMANDS, main
from tests.support.processes import run_fresh, start_forked

pytestmark = pytest.mark.slow
TRAIN = ("--size=16", "--epochs=3", "--batch_size=16", "--queue_size=32")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Sixty images in three colours; the last is a copy of the first."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.RandomState(0)
    for number in range(60):
        color = 200 * np.eye(3)[number % 3]
        image = np.clip(color + random.randint(0, 56, (24, 20, 3)), 0, 255).astype("uint8")
        if number == 0:
            first = image
        Image.fromarray(first if number == 59 else image).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def labelled(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    for path in photos.iterdir():
        kind = folder / file_color(path.name)
        kind.mkdir(exist_ok=True)
        (kind / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert command("train", photos, f"--output={folder}", *TRAIN)[0] == 0
    return folder


@pytest.fixture(scope="module")
def table(photos, trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "features.npz"
    assert command("embed", photos, f"--model={trained}", f"--output={path}")[0] == 0
    return path


def command(*arguments):
    """Exit status and output of the command line, run in this process."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = main([*map(str, arguments)])
    return status, output.getvalue()


def file_color(name):
    number = int(pathlib.Path(name).stem)
    return ("red", "green", "blue")[0 if number == 59 else number % 3]


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def metrics(folder):
    rows = read(folder / "metrics.csv")
    return [{n: float(v) for n, v in row.items() if v != "NA"} for row in rows]


def test_a_folder_becomes_a_model_and_a_record_of_its_settings(trained):
    facts = json.loads((trained / "run.json").read_text())
    assert facts["settings"]["size"] == 16
    assert facts["images"]["count"] == 60
    rows = metrics(trained)
    assert len(rows) == 3
    assert all(0 <= row["view_retrieval"] <= 1 <= row["feature_rank"] for row in rows)
    model, view = keras_isd.training.load_run(trained)
    assert isinstance(model, keras_isd.ISDModel)
    assert view(np.zeros((2, 30, 20, 3), "uint8")).shape == (2, 16, 16, 3)


@pytest.mark.one_backend("the files of a run do not depend on the backend")
def test_the_same_command_after_a_finished_run_does_not_train_further(photos, trained):
    before = (trained / "metrics.csv").read_text()
    status, printed = command("train", photos, f"--output={trained}", *TRAIN)
    assert status == 0, printed
    assert (trained / "metrics.csv").read_text() == before


@pytest.mark.one_backend("the files of a run do not depend on the backend")
def test_a_folder_of_another_run_is_rejected(photos, trained):
    status, printed = command("train", photos, f"--output={trained}", *TRAIN, "--seed=1")
    assert status == 1
    assert "seed=1, not 0" in printed
    assert "Traceback" not in printed


@pytest.mark.nightly
@pytest.mark.one_backend("tests of Resume kill runs on every backend")
def test_a_killed_run_ends_as_an_uninterrupted_one(photos, trained, tmp_path):
    line = ["train", str(photos), f"--output={tmp_path}", *TRAIN]
    process = start_forked(["-m", "keras_isd_start", *line])
    for _ in range(1200):
        if list(pathlib.Path(tmp_path).glob("checkpoints/epoch000001*")):
            break
        time.sleep(0.05)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "model.keras").exists()
    status, printed = command(*line)
    assert status == 0, printed
    assert metrics(tmp_path) == metrics(trained)
    one, other = (keras_isd.training.load_run(folder)[0] for folder in (tmp_path, trained))
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_features_are_those_of_the_model_with_the_files_names(photos, trained, table):
    found = keras_isd.evaluation.load_features(table)
    assert found.names == sorted(map(str, photos.iterdir()))
    model, view = keras_isd.training.load_run(trained)
    image = np.asarray(Image.open(found.names[7]))[None]
    expected = model.predict(view(image), verbose=0)[0]
    np.testing.assert_allclose(found.features[7], expected, rtol=1e-3, atol=1e-4)
    assert [path.name for path in table.parent.iterdir()] == ["features.npz"]


@pytest.mark.one_backend("rows are split before anything is computed")
def test_shards_together_equal_the_table(photos, trained, table, tmp_path):
    for part in (1, 2):
        line = ["embed", photos, f"--model={trained}", f"--shard={part}/2"]
        status, printed = command(*line, f"--output={tmp_path / 'f.npz'}")
        assert status == 0, printed
    found = keras_isd.evaluation.load_features(tmp_path / "f-*-of-2.npz")
    whole = keras_isd.evaluation.load_features(table)
    assert found.names == whole.names
    np.testing.assert_array_equal(found.indices, whole.indices)
    np.testing.assert_allclose(found.features, whole.features, rtol=1e-4, atol=1e-5)


@pytest.mark.one_backend("NumPy computes the tables")
def test_tables_name_the_files(table, tmp_path):
    names = keras_isd.evaluation.load_features(table).names
    first, copy = names[0], names[59]
    for part, options in {
        "neighbors": ["--k=2", "--query=/00.png"],
        "duplicates": ["--similarity=1"],
        "cluster": ["--clusters=3"],
        "select": ["--count=4"],
        "outliers": [],
    }.items():
        output = tmp_path / f"{part}.csv"
        status, printed = command(part, table, f"--output={output}", *options)
        assert status == 0, printed
        assert output.with_suffix(".jpg").stat().st_size > 1000
    nearest = read(tmp_path / "neighbors.csv")[0]
    assert nearest["neighbor"] == copy
    assert float(nearest["similarity"]) == pytest.approx(1, abs=1e-4)
    pair = [row for row in read(tmp_path / "duplicates.csv") if row["name"] in (first, copy)]
    assert [row["keep"] for row in pair] == ["yes", "no"]
    assert len({row["name"] for row in read(tmp_path / "cluster.csv")}) == 60
    assert len(read(tmp_path / "select.csv")) == 4
    scores = [float(row["score"]) for row in read(tmp_path / "outliers.csv")]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.one_backend("patches are compared by NumPy")
def test_a_planted_defect_is_the_first_local_outlier(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(30):
        pixels = np.random.RandomState(number).randint(90, 130, (40, 48, 3)).astype("uint8")
        if number == 8:
            pixels[20:28, 12:20] = 220
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (folder / "broken.png").write_bytes(b"no image")
    output = tmp_path / "defects.csv"
    status, printed = command("outliers", folder, "--kind=local", f"--output={output}")
    assert status == 0, printed
    assert "of the first 10 outliers are also the first 10 by pixels alone" in printed
    assert re.search(r"left out, since they cannot be read: .*broken\.png", printed)
    assert output.with_suffix(".jpg").stat().st_size > 1000
    rows = read(output)
    assert len(rows) == 30
    assert pathlib.Path(rows[0]["name"]).name == "08.png"
    assert abs(int(rows[0]["x"]) - 16) <= 8
    assert abs(int(rows[0]["y"]) - 24) <= 8
    assert sorted(int(row["pixel_rank"]) for row in rows) == list(range(1, 31))
    status, printed = command("outliers", folder, "--kind=local", "--k=3")
    assert (status, "--k and --approximate must not be given" in printed) == (2, True)


@pytest.mark.one_backend("compares rows")
def test_images_that_only_pixels_find_are_named(capsys, caplog):
    order, by_pixels = np.arange(40), np.arange(40)[::-1]
    outliers._compare(order, by_pixels, [f"{row}.png" for row in range(40)])
    assert capsys.readouterr().out.startswith("0 of the first 10 outliers")
    assert "Only pixels find 39.png, 38.png, 37.png, 36.png, 35.png and 5 more" in caplog.text
    caplog.clear()
    outliers._compare(order, order, [f"{row}.png" for row in range(40)])
    assert not caplog.text


@pytest.mark.one_backend("Keras exports the network")
def test_the_network_runs_without_this_package(trained, tmp_path):
    path = tmp_path / "student.keras"
    assert command("export", trained, f"--output={path}")[0] == 0
    views = np.random.RandomState(0).rand(2, 16, 16, 3).astype("float32")
    code = (
        "import keras, numpy as np, sys\n"
        f"views = np.random.RandomState(0).rand(2, 16, 16, 3).astype('float32')\n"
        f"print(keras.models.load_model({str(path)!r}).predict(views, verbose=0).sum())\n"
        "assert 'keras_isd' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = keras_isd.training.load_run(trained)[0].predict(views, verbose=0).sum()
    assert float(done.stdout) == pytest.approx(expected, rel=1e-3)


@pytest.mark.one_backend("Keras exports the network")
def test_the_network_runs_with_onnx(trained, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime runs ONNX")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("on JAX and PyTorch the export needs packages that the tests do not install")
    path = tmp_path / "student.onnx"
    status, printed = command("export", trained, f"--output={path}")
    assert status == 0, printed
    views = np.random.RandomState(0).rand(2, 16, 16, 3).astype("float32")
    session = runtime.InferenceSession(path)
    [found] = session.run(None, {session.get_inputs()[0].name: views})
    expected = keras_isd.training.load_run(trained)[0].predict(views, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.one_backend("Keras exports the network")
@pytest.mark.parametrize("normalize", ["none", "background"])
def test_a_network_with_its_view_takes_pixels(trained, tmp_path, normalize):
    shutil.copy(trained / "model.keras", tmp_path)
    view = {
        "size": 16, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.3],
        "value_range": [0, 255] if normalize == "none" else [-1.0, 1.0], "normalize": normalize,
    }  # fmt: skip
    (tmp_path / "view.json").write_text(json.dumps(view))
    pixels = np.random.RandomState(0).randint(0, 256, (2, 16, 16, 3)).astype("float32")
    model, view = keras_isd.training.load_run(tmp_path)
    expected = model.predict(keras.ops.convert_to_numpy(view(pixels)), verbose=0)
    path = tmp_path / "student.keras"
    assert command("export", tmp_path, f"--output={path}", "--include_view")[0] == 0
    found = keras.models.load_model(path).predict(pixels, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime runs ONNX")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("on JAX and PyTorch the export needs packages that the tests do not install")
    path = tmp_path / "student.onnx"
    assert command("export", tmp_path, f"--output={path}", "--include_view")[0] == 0
    session = runtime.InferenceSession(path)
    [found] = session.run(None, {session.get_inputs()[0].name: pixels})
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.one_backend("the protocols are tested in tests/evaluation")
def test_features_are_evaluated_with_labelled_images(labelled, trained, tmp_path):
    output = tmp_path / "found.json"
    status, printed = command("evaluate", labelled, f"--model={trained}", f"--output={output}")
    assert status == 0, printed
    found = json.loads(output.read_text())
    assert found["pixels"]["1-NN"] == 1.0
    assert found["chance"] < found["student"]["1-NN"]
    # Test images that lack the first class keep the numbers of the others.
    shutil.copytree(labelled, tmp_path / "test")
    shutil.rmtree(tmp_path / "test" / "blue")
    line = ["evaluate", labelled, f"--test={tmp_path / 'test'}", f"--model={trained}"]
    status, printed = command(*line, f"--output={output}")
    assert status == 0, printed
    assert json.loads(output.read_text())["pixels"]["1-NN"] == 1.0


@pytest.mark.one_backend("the protocols are tested in tests/evaluation")
def test_every_protocol_has_its_row_and_a_report_is_written(labelled, trained, tmp_path):
    model = tmp_path / "model.keras"
    shutil.copy(trained / "model.keras", model)
    status, printed = command(
        "evaluate",
        labelled,
        f"--model={model}",
        "--size=16",
        "--protocols=knn,linear,few_labels,transfer,unbalanced",
        f"--transfer_to={labelled}",
        "--large_classes=0",
        f"--output={tmp_path / 'evaluation'}",
    )
    assert status == 0, printed
    results = json.loads((tmp_path / "evaluation" / "results.json").read_text())
    simple = ["spectrum", "gradients", "colors"]
    assert list(results) == ["chance", "pixels", *simple, "untrained", "student", "teacher"]
    rows = ["1-NN", "linear", "10% of labels", "transfer", "1-NN, rare classes"]
    assert all(0 <= results["teacher"][row] <= 1 for row in rows)
    assert results["pixels"]["transfer"] == 1.0
    assert (tmp_path / "evaluation" / "student_embedding.png").stat().st_size > 1000
    assert "report.html" in printed


@pytest.mark.one_backend("matplotlib draws the figure")
def test_the_metrics_of_a_run_are_drawn(trained, tmp_path):
    figure = tmp_path / "metrics.png"
    assert command("plot", trained, f"--output={figure}")[0] == 0
    assert figure.stat().st_size > 1000


@pytest.mark.one_backend("training on labels is tested with `fine_tune`")
def test_filled_in_labels_train_a_classifier_for_all_images(photos, trained, table, tmp_path):
    names, selected = [], tmp_path / "selected.csv"
    status, printed = command("select", table, "--count=30", f"--output={selected}", "--no-picture")
    assert status == 0, printed
    rows = read(selected)
    assert all(row["label"] == "" for row in rows)
    with open(selected, "w", newline="") as file:
        filled = csv.DictWriter(file, ["rank", "name", "label"])
        filled.writeheader()
        for row in rows[:-5]:  # five keep an empty label
            names.append(row["name"])
            filled.writerow(row | {"label": file_color(row["name"])})
        filled.writerows(rows[-5:])
    line = ["finetune", selected, f"--model={trained}", f"--output={tmp_path / 'classifier'}"]
    again = command("select", table, "--count=3", f"--output={selected}", "--no-picture")
    assert again[0] == 1
    assert "filled-in labels" in again[1]
    more = ["select", table, "--count=3", f"--output={tmp_path / 'more.csv'}", "--no-picture"]
    assert command(*more, f"--labelled={selected}")[0] == 0
    found = read(tmp_path / "more.csv")
    assert [row["label"] for row in found[:3]] == ["", "", ""]
    assert not {row["name"] for row in found[:3]} & set(names)
    assert {row["name"]: row["label"] for row in found[3:]} == {n: file_color(n) for n in names}
    status, printed = command(*line, f"--classify={photos}", "--epochs=30", "--untrained")
    assert status == 0, printed
    assert "5 images of" in printed
    assert "25 labelled images, 3 parts classified in turn" in printed
    for name in ("linear layer", "nearest images", "whole network, from scratch"):
        assert re.search(rf"{name} +[01]\.\d{{3}} \[[01]\.\d{{3}}, [01]\.\d{{3}}\]", printed)
    assert "kept: " in printed
    found = read(tmp_path / "classifier" / "labels.csv")
    assert [row["name"] for row in found] == sorted(map(str, photos.iterdir()))
    assert np.mean([row["label"] == file_color(row["name"]) for row in found]) > 0.9
    assert all(1 / 3 <= float(row["probability"]) <= 1 for row in found)
    classes = json.loads((tmp_path / "classifier" / "classes.json").read_text())
    assert classes == ["blue", "green", "red"]
    classifier = keras.models.load_model(tmp_path / "classifier" / "classifier.keras")
    assert classifier.output_shape == (None, 3)
    exported = tmp_path / "plain.keras"
    assert command("export", tmp_path / "classifier", f"--output={exported}")[0] == 0
    assert keras.models.load_model(exported).output_shape == (None, 3)


@pytest.mark.one_backend("labels are drawn by `label_fraction`, tested in tests/data")
def test_a_fraction_of_the_labels_is_used(labelled, trained, tmp_path):
    line = ["finetune", labelled, f"--model={trained}", f"--output={tmp_path}", "--epochs=1"]
    status, printed = command(*line, "--fraction=0.25")
    assert status == 0, printed
    assert "15 labelled images, 5 parts classified in turn" in printed


@pytest.mark.one_backend("distillation is tested in tests/training")
def test_distill_needs_a_teacher_and_learns_from_its_features(photos, tmp_path):
    line = ["distill", photos, f"--output={tmp_path / 'run'}", *TRAIN]
    status, printed = command(*line)
    assert status == 2
    assert "--teacher_features. Received: neither" in printed
    np.save(tmp_path / "seen.npy", np.random.RandomState(0).rand(60, 5).astype("float32"))
    status, printed = command(*line, f"--teacher_features={tmp_path / 'seen.npy'}")
    assert status == 0, printed
    # Another run is rejected before its teacher, which does not exist, is loaded.
    status, printed = command(*line, "--teacher=none.keras", "--seed=1")
    assert status == 1
    assert "seed=1, not 0" in printed
    model, _ = keras_isd.training.load_run(tmp_path / "run")
    assert isinstance(model, keras_isd.DistillationModel)
    assert model.embedding_dim == 5


@pytest.mark.one_backend("the messages are the same under any backend")
def test_errors_are_one_line_with_their_exit_status(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "one" / "class")
    for line, status, words in (
        (["train", "nowhere", "--output=x"], 1, "must be a folder. Received: nowhere"),
        (["train", photos], 2, "output"),
        (["train", photos, "--output=x", "--size=0"], 2, "size"),
        (["train", photos, f"--output={photos}/run"], 1, "must not lie in the folder of images"),
        (["train", photos, "--output=x", "--minutes=0"], 2, "--minutes: must be a number above 0"),
        (["embed", photos, f"--model={tmp_path}", "--output=f.txt"], 1, "must end in"),
        (["embed", photos, f"--model={tmp_path}"], 1, "finished run"),
        (["embed", photos, "--model=nowhere"], 1, "existing folder or file"),
        (["cluster", "no.csv"], 1, "which does not exist"),
        (["evaluate", photos, f"--model={tmp_path}"], 1, "60 images without a label"),
        (["evaluate", tmp_path / "one", f"--model={tmp_path}"], 1, "at least two classes"),
        (["evaluate", photos, f"--model={tmp_path}", "--protocols=all"], 2, "'all'"),
        (["evaluate", photos, f"--model={tmp_path}", "--seed=-1"], 2, "--seed: must be an integer"),
        (["nothing"], 2, "invalid choice"),
    ):
        found, printed = command(*line)
        assert found == status, printed
        assert words in printed
        assert "Traceback" not in printed


@pytest.mark.one_backend("the same text under any backend")
def test_help_lists_each_subcommand_and_has_an_example():
    status, printed = command("--help")
    assert status == 0
    assert all(name in printed for name in COMMANDS)
    status, printed = command("train", "--help")
    assert status == 0
    assert "keras-isd train IMAGES --output=RUN" in printed
    assert all(f"--{flag}" in printed for flag in ("minutes", "labels", "data_dir"))


@pytest.mark.one_backend("the same text under any backend")
def test_help_and_version_import_no_keras():
    for arguments in (["--version"], ["--help"], ["train", "--help"]):
        code = (
            "import sys, keras_isd_start\n"
            f"sys.argv = ['keras-isd', *{arguments}]\n"
            "try: keras_isd_start.main()\n"
            "except SystemExit as end: assert not end.code\n"
            "assert 'keras' not in sys.modules"
        )
        status, _, errors = run_fresh(["-c", code])
        assert status == 0, errors


def test_a_new_process_imports_the_package_quietly(table, tmp_path):
    line = ("-m", "keras_isd_start", "outliers", table, f"--output={tmp_path / 'o.csv'}")
    status, printed, errors = run_fresh([*line, "--no-picture"], TF_CPP_MIN_LOG_LEVEL=None)
    assert (status, errors) == (0, "")
    assert printed == f"written to {tmp_path / 'o.csv'}\n"


@pytest.mark.one_backend("the same choices under any backend")
def test_choices_are_those_of_the_package():
    assert train.NETWORKS == keras_isd.training.settings.NETWORKS
    assert (*train.METHODS, "distillation") == tuple(keras_isd.training.settings.RECIPES)
    assert train.DOMAINS == keras_isd.training.settings.DOMAINS
    assert train.NORMALIZATIONS == keras_isd.training.settings.NORMALIZATIONS
    assert cluster.METHODS == keras_isd.exploration.clusters.METHODS
    assert select.METHODS == keras_isd.exploration.selection.METHODS
