"""`examples/imagenet.py` in its smoke setting: sources of images, workers, and resuming."""

import concurrent.futures
import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image

import keras_isd  # noqa: F401, registers what models are loaded from
from tests.support.processes import ROOT, addresses, run_python

pytestmark = pytest.mark.slow
SAMPLE = ROOT.parent / "shared/data/imagenet_sample"
COMMAND = ("examples/imagenet.py", "--preset=smoke", "--recipe=resnet18")
FILES = {"run.json", "metrics.csv", "tensorboard", "checkpoints", "model.keras"}
tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="tests workers and data sets of TensorFlow, or flags",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """ImageNet's layout: 20 images of a class, 20 of another, and 1 of a third."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.RandomState(0)
    for name, count in {"a": 20, "b": 20, "c": 1}.items():
        (folder / "train" / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.randint(0, 256, (70 + i, 90, 3), "uint8")
            Image.fromarray(pixels).save(folder / "train" / name / f"{i}.JPEG")
    return f"--image_folder={folder}"


def metrics(output):
    with open(output / "metrics.csv") as file:
        return list(csv.DictReader(file))


@pytest.mark.nightly
@tensorflow_only
def test_a_run_writes_its_files_and_resumes(folder, tmp_path):
    output = tmp_path / "run"
    command = (*COMMAND, folder, "--policy=mixed_bfloat16", f"--output={output}")
    output.mkdir()  # from a run with another seed that ended before its first checkpoint
    (output / "run.json").write_text('{"flags": {"seed": 7}}')
    run_python(*command, "--knn_every=1")
    assert {path.name for path in output.iterdir()} == FILES
    facts = json.loads((output / "run.json").read_text())
    assert facts["flags"]["seed"] == 0
    assert facts["versions"]["keras"] == keras.__version__
    assert facts["versions"]["tensorflow"]
    [epoch] = metrics(output)
    assert 0 <= float(epoch["knn_teacher"]) <= 1  # also with a class of one image
    again = run_python(*command, "--resume", "--epochs=2")
    assert "Epoch 2/2" in again
    assert "Epoch 1/2" not in again
    assert [epoch["epoch"] for epoch in metrics(output)] == ["0", "1"]
    with pytest.raises(AssertionError, match=r"--resume must be .*flags.seed=1"):
        run_python(*command, "--resume", "--seed=1")
    with pytest.raises(AssertionError, match="must be a folder without checkpoints"):
        run_python(*command)


@pytest.mark.nightly
@pytest.mark.data
@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"no photographs of ImageNet in {SAMPLE}")
def test_it_runs_on_photographs_of_imagenet(tmp_path):
    printed = run_python(*COMMAND, f"--image_folder={SAMPLE}", f"--output={tmp_path}", quiet=True)
    assert "no k-NN accuracy during training" in printed  # one image of each class
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert 0 < float(metrics(tmp_path)[0]["loss"]) < 20


@tensorflow_only
def test_imagenet_tensorflow_only_datasets_is_trained_on(tmp_path):
    code = f"""
import runpy, sys
import tensorflow_datasets as tfds
sys.path.insert(0, "examples")
sys.argv = [*{COMMAND}, "--knn_every=1", "--output={tmp_path}", "--data_dir={tmp_path / "none"}"]
with tfds.testing.mock_data(num_examples=40):  # random images under ImageNet's name
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
    printed = run_python("-c", code)
    assert "2/2" in printed  # 40 images are 2 batches of 16
    assert metrics(tmp_path)[0]["knn_teacher"]


@pytest.mark.nightly
@tensorflow_only
def test_two_workers_write_one_run(folder, tmp_path):
    cluster = {"worker": addresses()}

    def work(index):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        command = (*COMMAND, folder, "--strategy=multi_worker", f"--output={tmp_path}")
        return run_python(*command, TF_CONFIG=json.dumps(task))

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(work, range(2)))
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"worker_1"}
    assert metrics(tmp_path) == metrics(tmp_path / "worker_1")
    first, second = (
        keras.models.load_model(path / "model.keras") for path in (tmp_path, tmp_path / "worker_1")
    )
    assert first.queue.filled.numpy() == 32
    for one, other in zip(first.variables, second.variables, strict=True):
        if "moving_" not in one.path:  # statistics are not synchronised
            np.testing.assert_array_equal(one.numpy(), other.numpy(), one.path)


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow has strategies")
def test_strategies_are_refused_without_tensorflow(folder):
    with pytest.raises(AssertionError, match="Received: --strategy=mirrored with"):
        run_python(*COMMAND, folder, "--strategy=mirrored")
