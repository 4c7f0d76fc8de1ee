"""`experiments/gpu_tables.py`, stopped or killed and resumed, ends with the same table."""

import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from tests.support.processes import ROOT, run_python

pytestmark = pytest.mark.slow
STOPPED = 75
PROGRAM = str(ROOT / "experiments" / "gpu_tables.py")


@pytest.fixture
def images(tmp_path):
    random = np.random.RandomState(0)
    arrays = {}
    for part, count in {"train": 300, "test": 64}.items():
        arrays[f"x_{part}"] = random.randint(0, 256, (count, 32, 32, 3), "uint8")
        arrays[f"y_{part}"] = np.arange(count) % 10
    np.savez(tmp_path / "images.npz", **arrays)
    return f"--cifar10={tmp_path / 'images.npz'}"


@pytest.fixture
def without_tensorflow(tmp_path):
    """Variables of a process that has no TensorFlow."""
    missing = tmp_path / "missing"
    missing.mkdir()
    (missing / "tensorflow.py").write_text("raise ModuleNotFoundError(name='tensorflow')")
    return {"PYTHONPATH": os.pathsep.join([str(missing), os.environ.get("PYTHONPATH", "")])}


def start(*arguments, **environment):
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend(), **environment}
    command = [sys.executable, PROGRAM, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, env=environment, cwd=ROOT, text=True, **pipes)


def run(*arguments, status=0, **environment):
    """Output of the program."""
    process = start(*arguments, **environment)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == status, output[-4000:]
    return output


def processes_of(folder):
    """Command lines of this machine's processes that name a folder (Linux)."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(folder) in line]


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="the program is for JAX and PyTorch"
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a child may outlive a kill")
def test_a_run_that_was_stopped_and_killed_ends_as_an_uninterrupted_one(
    tmp_path, images, without_tensorflow
):
    parts, whole = tmp_path / "parts", tmp_path / "whole.keras"
    scale = ("--preset=smoke", "--epochs=3", "--policy=float32")
    arrays = images.replace("cifar10", "arrays")
    options = ("--views_on=device", arrays, f"--output={whole}")
    run_python("experiments/cifar.py", *scale, *options, **without_tensorflow)

    command = (images, *scale, "--methods=isd", f"--output={parts}")
    output = run(*command, "--minutes=0.001", status=STOPPED, **without_tensorflow)
    assert "Stopped at the time limit" in output
    assert "0 of 1 runs are done" in output
    checkpoints = parts / "cifar10_isd_3epochs_seed0"
    assert [path.name[:11] for path in checkpoints.glob("*.checkpoint")] == ["epoch000001"]

    process = start(*command, **without_tensorflow)
    while not any(checkpoints.glob("epoch000002*.checkpoint")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()  # waits for its children too, which hold the pipe
    assert processes_of(parts) == []
    assert not (parts / "cifar10_isd_3epochs_seed0.json").exists()

    resumed = run(*command, **without_tensorflow)
    assert "Epoch 2/3" not in resumed
    results = json.loads((parts / "cifar10_isd_3epochs_seed0.json").read_text())
    found = json.loads(whole.with_suffix(".json").read_text())["accuracies"]
    assert results["accuracies"] == found
    cells = " | ".join(f"{100 * value:.1f}" for value in found["student"].values())
    assert f"| epochs=3 method=isd preset=smoke views_on=device | 1 | {cells} | " in resumed
    assert "1 of 1 runs are done" in resumed
    assert results["images_per_second"] > 0
    assert results["bare_images_per_second"] > 0
    assert run(*command).startswith("\n| run |")  # finished runs are not repeated


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--methods=simclr",), r"methods=.*simclr.*: must be among"),
        (
            ("--methods=distillation", "--cifar10=a.npz"),
            "must be given.*Received: --methods=distillation, --cifar10=a.npz",
        ),
        (("--seeds=a",), "must be integers"),
    ],
)
@pytest.mark.one_backend("tests flags only")
def test_it_refuses_before_it_trains(flags, why):
    with pytest.raises(AssertionError, match=why):
        run(*flags)


@pytest.mark.one_backend("tests flags only")
def test_runs_with_other_flags_are_refused(tmp_path, images):
    flags = {"dataset": "cifar10", "method": "isd", "preset": "smoke", "policy": "float32"}
    flags |= {"seed": 0, "views_on": "device", "arrays": "elsewhere.npz"}
    (tmp_path / "cifar10_isd_seed0.json").write_text(json.dumps({"flags": flags}))
    with pytest.raises(AssertionError, match=r"without .*mixed_bfloat16.*Received: .*seed0.json"):
        run(images, "--preset=smoke", "--methods=isd", f"--output={tmp_path}")
