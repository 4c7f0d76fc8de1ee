"""The command, from a folder of images to tables."""

import csv
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
from keras_isd.command.main import PARTS, run
from tests.support.processes import run_forked, run_fresh, start_forked

TRAIN = ("--size=16", "--epochs=3", "--batch_size=16", "--queue_size=32")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Sixty images in three colours, of which the last is a copy of the first."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.RandomState(0)
    for number in range(60):
        color = 200 * np.eye(3)[number % 3]
        image = np.clip(color + random.randint(0, 56, (24, 20, 3)), 0, 255).astype("uint8")
        if number == 0:
            first = image
        Image.fromarray(first if number == 59 else image).save(folder / f"{number:02}.png")
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


def command(*arguments, backend=None, timeout=300):
    """Status and output of the command in a process of its own."""
    line = ("-m", "keras_isd_start", *arguments)
    if backend is None:
        status, out, errors = run_forked(line, timeout=timeout)
    else:
        status, out, errors = run_fresh(line, timeout=timeout, KERAS_BACKEND=backend)
    return status, out + errors


def color_of(name):
    number = int(pathlib.Path(name).stem)
    return ("red", "green", "blue")[0 if number == 59 else number % 3]


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def metrics(folder):
    rows = read(folder / "metrics.csv")
    return [{n: float(v) for n, v in row.items() if v != "NA"} for row in rows]


def test_a_folder_becomes_a_model_beside_what_it_was_made_with(trained):
    facts = json.loads((trained / "run.json").read_text())
    assert facts["settings"]["size"] == 16
    assert facts["images"]["count"] == 60
    rows = metrics(trained)
    assert len(rows) == 3
    assert all(0 <= row["view_retrieval"] <= 1 <= row["feature_rank"] for row in rows)
    model, view = keras_isd.training.load_run(trained)
    assert isinstance(model, keras_isd.ISDModel)
    assert view(np.zeros((2, 30, 20, 3), "uint8")).shape == (2, 16, 16, 3)


@pytest.mark.one_backend("the folder of a run is JSON")
def test_the_same_line_of_a_finished_run_trains_nothing_more(photos, trained):
    before = (trained / "metrics.csv").read_text()
    status, said = command("train", photos, f"--output={trained}", *TRAIN)
    assert status == 0, said
    assert (trained / "metrics.csv").read_text() == before


@pytest.mark.one_backend("the folder of a run is JSON")
def test_a_folder_of_another_run_is_refused(photos, trained):
    status, said = command("train", photos, f"--output={trained}", *TRAIN, "--seed=1")
    assert status == 1
    assert "seed=1, not 0" in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.one_backend("kill tests of every backend are those of Resume")
def test_a_run_that_is_killed_ends_as_it_would_have_ended(photos, trained, tmp_path):
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
    status, said = command(*line)
    assert status == 0, said
    assert metrics(tmp_path) == metrics(trained)
    one, other = (keras_isd.training.load_run(folder)[0] for folder in (tmp_path, trained))
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_features_have_the_files_names_and_are_those_of_the_model(photos, trained, table):
    found = keras_isd.evaluation.load_features(table)
    assert found.names == sorted(map(str, photos.iterdir()))
    model, view = keras_isd.training.load_run(trained)
    image = np.asarray(Image.open(found.names[7]))[None]
    expected = model.predict(view(image), verbose=0)[0]
    np.testing.assert_allclose(found.features[7], expected, rtol=1e-3, atol=1e-4)
    assert [path.name for path in table.parent.iterdir()] == ["features.npz"]


@pytest.mark.one_backend("rows are shared out before anything is computed")
def test_shards_are_the_table_in_parts(photos, trained, table, tmp_path):
    for part in (1, 2):
        line = ["embed", photos, f"--model={trained}", f"--shard={part}/2"]
        status, said = command(*line, f"--output={tmp_path / 'f.npz'}")
        assert status == 0, said
    found = keras_isd.evaluation.load_features(tmp_path / "f-*-of-2.npz")
    whole = keras_isd.evaluation.load_features(table)
    assert found.names == whole.names
    np.testing.assert_array_equal(found.indices, whole.indices)
    np.testing.assert_allclose(found.features, whole.features, rtol=1e-4, atol=1e-5)


@pytest.mark.one_backend("tables are NumPy's affair")
def test_tables_name_the_files(table, tmp_path):
    names = keras_isd.evaluation.load_features(table).names
    first, copy = names[0], names[59]
    for part, options in {
        "neighbors": ["--k=2", "--of=/00.png"],
        "duplicates": ["--similarity=1"],
        "cluster": ["--clusters=3"],
        "select": ["--count=4"],
        "outliers": [],
    }.items():
        output = tmp_path / f"{part}.csv"
        status, said = command(part, table, f"--output={output}", *options, backend="jax")
        assert status == 0, said
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


@pytest.mark.one_backend("what is exported is Keras' affair")
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


@pytest.mark.one_backend("what is exported is Keras' affair")
def test_the_network_runs_by_onnx(trained, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="ONNX is run by onnxruntime")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("on JAX and PyTorch the export takes packages that the tests do not install")
    path = tmp_path / "student.onnx"
    status, said = command("export", trained, f"--output={path}")
    assert status == 0, said
    views = np.random.RandomState(0).rand(2, 16, 16, 3).astype("float32")
    session = runtime.InferenceSession(path)
    [found] = session.run(None, {session.get_inputs()[0].name: views})
    expected = keras_isd.training.load_run(trained)[0].predict(views, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.one_backend("the protocols are tested where they are")
def test_images_with_labels_say_what_features_are_worth(photos, trained, tmp_path):
    for path in photos.iterdir():
        kind = tmp_path / "labelled" / color_of(path.name)
        kind.mkdir(parents=True, exist_ok=True)
        (kind / path.name).write_bytes(path.read_bytes())
    output = tmp_path / "found.json"
    status, said = command(
        "evaluate", tmp_path / "labelled", f"--model={trained}", f"--output={output}"
    )
    assert status == 0, said
    found = json.loads(output.read_text())
    assert found["pixels"]["1-NN"] == 1.0
    assert found["chance"] < found["student"]["1-NN"]
    # Of other images that lack the first class the others keep their numbers.
    shutil.copytree(tmp_path / "labelled", tmp_path / "test")
    shutil.rmtree(tmp_path / "test" / "blue")
    line = ["evaluate", tmp_path / "labelled", f"--test={tmp_path / 'test'}", f"--model={trained}"]
    status, said = command(*line, f"--output={output}")
    assert status == 0, said
    assert json.loads(output.read_text())["pixels"]["1-NN"] == 1.0


@pytest.mark.one_backend("what is trained on labels is tested with `fine_tune`")
def test_labels_filled_in_make_a_classifier_of_all_images(photos, trained, table, tmp_path):
    names, selected = [], tmp_path / "selected.csv"
    status, said = command("select", table, "--count=30", f"--output={selected}", "--nopicture")
    assert status == 0, said
    rows = read(selected)
    assert all(row["label"] == "" for row in rows)
    with open(selected, "w", newline="") as file:
        filled = csv.DictWriter(file, ["rank", "name", "label"])
        filled.writeheader()
        for row in rows[:-5]:  # five are left as they are
            names.append(row["name"])
            filled.writerow(row | {"label": color_of(row["name"])})
        filled.writerows(rows[-5:])
    line = ["finetune", selected, f"--model={trained}", f"--output={tmp_path / 'classifier'}"]
    again = command("select", table, "--count=3", f"--output={selected}", "--nopicture")
    assert again[0] == 1
    assert "labels that are filled in" in again[1]
    more = ["select", table, "--count=3", f"--output={tmp_path / 'more.csv'}", "--nopicture"]
    assert command(*more, f"--labelled={selected}")[0] == 0
    assert not {row["name"] for row in read(tmp_path / "more.csv")} & set(names)
    status, said = command(*line, f"--classify={photos}", "--epochs=30", "--untrained")
    assert status == 0, said
    assert "5 images of" in said
    assert re.search(r"2[0-4] images to learn from, [1-5] to classify, so few", said)
    assert "whole network, from nothing" in said
    found = read(tmp_path / "classifier" / "labels.csv")
    assert [row["name"] for row in found] == sorted(map(str, photos.iterdir()))
    assert np.mean([row["label"] == color_of(row["name"]) for row in found]) > 0.9
    assert all(1 / 3 <= float(row["probability"]) <= 1 for row in found)
    classes = json.loads((tmp_path / "classifier" / "classes.json").read_text())
    assert classes == ["blue", "green", "red"]
    classifier = keras.models.load_model(tmp_path / "classifier" / "classifier.keras")
    assert classifier.output_shape == (None, 3)


@pytest.mark.one_backend("distillation is tested with `train_on_images`")
def test_distill_wants_a_teacher_and_learns_from_its_features(photos, tmp_path):
    line = ["distill", photos, f"--output={tmp_path / 'run'}", *TRAIN]
    status, said = command(*line)
    assert status == 2
    assert "--teacher_features. Received: neither" in said
    np.save(tmp_path / "seen.npy", np.random.RandomState(0).rand(60, 5).astype("float32"))
    status, said = command(*line, f"--teacher_features={tmp_path / 'seen.npy'}")
    assert status == 0, said
    # Another run is refused before its teacher, which is not there, would see an image.
    status, said = command(*line, "--teacher=none.keras", "--seed=1")
    assert status == 1
    assert "seed=1, not 0" in said
    model, _ = keras_isd.training.load_run(tmp_path / "run")
    assert isinstance(model, keras_isd.DistillationModel)
    assert model.embedding_dim == 5


@pytest.mark.one_backend("the same words under any backend")
def test_what_is_wrong_is_said_in_a_sentence(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "one" / "class")
    for line, status, words in (
        (["train", "nowhere", "--output=x"], 1, "must be a folder. Received: nowhere"),
        (["train", photos], 2, "output"),
        (["train", photos, "--output=x", "--size=0"], 2, "size"),
        (["train", photos, f"--output={photos}/run"], 1, "must not lie in the folder of images"),
        (["train", photos, "--output=x", "--minutes=0"], 2, "--minutes must be above 0"),
        (["embed", photos, f"--model={tmp_path}", "--output=f.txt"], 1, "must end in"),
        (["embed", photos, f"--model={tmp_path}"], 1, "finished run"),
        (["embed", photos, "--model=nowhere"], 1, "folder or a file that is there"),
        (["cluster", "no.csv"], 1, "not there"),
        (["evaluate", photos, f"--model={tmp_path}"], 1, "60 images without a label"),
        (["evaluate", tmp_path / "one", f"--model={tmp_path}"], 1, "at least two classes"),
        (["nothing"], 2, "no part of keras-isd"),
    ):
        found, said = command(*line, backend="jax")  # which starts sooner
        assert found == status, said
        assert words in said
        assert "Traceback" not in said


@pytest.mark.one_backend("the same words under any backend")
def test_help_names_each_part_and_has_an_example(capfd):
    assert run(["keras-isd", "--help"]) == 0
    said = capfd.readouterr().out
    assert all(part in said for part in PARTS)
    status, said = command("train", "--help")
    assert status == 0
    assert "keras-isd train PHOTOS --output=RUN" in said
    assert all(f"--{flag}" in said for flag in ("minutes", "labels", "data_dir"))
    assert "cuda" not in said.lower()
