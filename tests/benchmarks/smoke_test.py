"""Each benchmark runs in small and prints its table."""

import json
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import keras_isd
from tests.support.processes import ROOT, run_python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.skipif(sys.platform != "linux", reason="benchmarks read memory from /proc"),
]
ONCE = ("--rounds=1", "--steps=1")
SMALL_STEP = ("--settings=cifar", "--batch_size=2", "--queue_size=16", "--policy=float32", *ONCE)
RUNS = {
    "train_step": (("--settings=features", "--batch_size=2", *ONCE), "| bare passes |"),
    "step_parts": (("--parts=teacher", *ONCE), "| teacher |"),
    "gpu_step": (("--cases=bare", *SMALL_STEP), "| bare passes |"),
    "scaling growth": (("--plots=batch", "--batches=4", *ONCE), "| step |"),
    "scaling loss": (
        ("--measure=loss", "--anchors=64", "--batches=4", "--dim=8", "--blocks=16", *ONCE),
        "| 64 | 16 |",
    ),
    "scaling queue": (
        ("--measure=queue", "--anchors=128", "--batches=2", "--dim=8", *ONCE),
        "step, 64",
    ),
    "scaling views": (
        ("--measure=views", "--anchors=16", "--batches=2", *ONCE), "| small / query |"
    ),
    "data views": (("--images=12", "--batch_size=2", "--rounds=1"), "| keras_isd |"),
    "data photographs": (
        ("--measure=photographs", "--photographs=2", "--passes=3", "--batch_size=2", "--rounds=1"),
        "| decoding alone, whole |",
    ),
    "data listing": (("--measure=listing", "--files=1200", "--batch_size=8"), "1,200 files listed"),
    "data features": (
        ("--measure=features", "--images=40", "--batch_size=8", "--width=4", "--rounds=1"),
        "| in a file |",
    ),
    "knn search": (("--bank=100", "--queries=20", "--dim=8", "--k=1", "--rounds=1"), "| 1 |"),
    "knn callback": (
        ("--measure=callback", "--backbone=convnet", "--bank=50", "--queries=20", "--batch=4",
         "--epoch=8", "--steps=1"),
        "| epoch, s |",
    ),
    "checkpoint_cost": (
        ("--anchors=64", "--width=4", "--rounds=1"),
        "| a step while a file is written |",
    ),
    "import_time": ((f"--backends={keras.backend.backend()}", "--rounds=1"), "keras_isd, s"),
}  # fmt: skip


@pytest.fixture
def photographs(tmp_path):
    """A folder of two photographs."""
    random = np.random.RandomState(0)
    (tmp_path / "class").mkdir()
    for number in range(2):
        pixels = random.randint(0, 256, (60, 80, 3), "uint8")
        Image.fromarray(pixels).save(tmp_path / "class" / f"{number}.jpg")
    return tmp_path


@pytest.mark.parametrize("name", RUNS)
def test_a_benchmark_runs_in_small(name, photographs):
    flags, expected = RUNS[name]
    if name == "gpu_step" and keras.backend.backend() == "tensorflow":
        with pytest.raises(AssertionError, match="KERAS_BACKEND must be jax or torch"):
            run_python("benchmarks/gpu_step.py", *flags, KERAS_BACKEND="tensorflow")
        return
    if name == "data photographs":
        flags = (*flags, f"--folder={photographs}")
    output = run_python(f"benchmarks/{name.split()[0]}.py", *flags)
    assert expected in output, output


def test_bare_passes_are_added_to_the_results_of_a_run(tmp_path):
    backbone = keras_isd.backbones.ConvNet((32, 32, 3), (4, 8))
    keras_isd.ISDModel(backbone, queue_size=8).save(tmp_path / "run.keras")
    (tmp_path / "run.json").write_text(json.dumps({"settings": {"batch_size": 4}}))
    run_python("benchmarks/bare_passes.py", f"--run={tmp_path / 'run.json'}", "--steps=1")
    assert json.loads((tmp_path / "run.json").read_text())["bare_images_per_second"] > 0


def test_every_benchmark_is_run():
    not_programs = {"measured_process", "step_setting", "other_steps"}
    files = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - not_programs
    assert {name.split()[0] for name in RUNS} | {"bare_passes"} == files
