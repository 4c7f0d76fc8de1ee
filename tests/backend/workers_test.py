"""Two processes on the loopback address train as one process does."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_isd import backend
from tests.support.processes import ROOT, addresses, run_python

SCRIPT = "tests.support.replicas_script"

BACKEND = keras.backend.backend()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.every_backend,
    pytest.mark.skipif(
        BACKEND == "torch" and not backend.joins_processes(),
        reason="Keras before 3.16 runs one process on PyTorch",
    ),
]
tensorflow_only = pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's workers")
# The last batch of 87 images has 7: 4 for one process and 3 for the other.
IMAGES = {"tensorflow": "87", "jax": "88", "torch": "87"}[BACKEND]
SIZES = (f"--images={IMAGES}", "--batch_size=8", "--queue_size=61")


def commands(folder, *arguments, devices=2):
    workers = (f"--devices={devices}", "--workers", *addresses())
    return [
        (
            "-m",
            SCRIPT,
            folder / f"{i}.npz",
            *arguments,
            *workers,
            f"--worker={i}",
        )
        for i in range(2)
    ]


def run_in_parallel(commands):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return [run.result() for run in [pool.submit(run_python, *c) for c in commands]]


def assert_equal_runs(folder, expected):
    for worker in range(2):
        with np.load(folder / f"{worker}.npz") as found:
            for name in expected:
                if name.startswith("logs/"):
                    last = expected[name][-len(found[name]) :]
                    # Rounding in training changes the student a little, which validation measures.
                    atol = 1e-2 if "val_" in name else 2e-4
                    np.testing.assert_allclose(found[name], last, atol=atol, err_msg=name)
                elif name.startswith(("queue", "teacher")):
                    np.testing.assert_allclose(found[name], expected[name], 1e-4, 1e-4, name)


@pytest.mark.parametrize(
    ("devices", "split", "sizes"),
    [
        (2, (), SIZES),
        pytest.param(
            4,
            ("--split_queue",),
            ("--images=96", "--batch_size=8", "--queue_size=40"),
            marks=pytest.mark.skipif(BACKEND != "jax", reason="JAX splits a queue"),
        ),
    ],
)
def test_two_workers_equal_one_process(devices, split, sizes, tmp_path):
    """The second case starts twice, with the whole queue in the checkpoint between the starts."""
    starts = (1, 2) if split else (1,)  # epochs at the end of each
    whole = (*sizes, f"--epochs={starts[-1]}")
    run_python("-m", SCRIPT, tmp_path / "one.npz", *whole)
    for epochs in starts:
        resume = (f"--resume={tmp_path / 'checkpoints'}", f"--epochs={epochs}")
        arguments = (*split, *sizes, *resume)
        run_in_parallel(commands(tmp_path, *arguments, devices=devices))
    with np.load(tmp_path / "one.npz") as expected, np.load(tmp_path / "1.npz") as found:
        steps = len(found["losses"])
        first = expected["losses"][-steps:][:10], found["losses"][:10]
        np.testing.assert_allclose(*first, rtol=0, atol=1e-4)
        assert_equal_runs(tmp_path, expected)


@tensorflow_only
def test_if_a_worker_is_lost_the_other_stops_and_both_resume(tmp_path):
    checkpoints = tmp_path / "checkpoints"
    long = (*SIZES, f"--resume={checkpoints}", "--epochs=1000")
    lost, survivor = (
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=ROOT,
            env={**os.environ, "KERAS_BACKEND": "tensorflow"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in reversed(commands(tmp_path, *long))
    )
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("epoch000003*.checkpoint")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    lost.send_signal(signal.SIGKILL)
    _, message = survivor.communicate(timeout=240)
    assert survivor.returncode not in (0, None)
    assert "A worker of the run was lost" in message, message[-3000:]
    reached = max(int(path.name[5:11]) for path in checkpoints.glob("*.checkpoint"))
    assert reached >= 3

    again = (*SIZES, f"--resume={checkpoints}", f"--epochs={reached + 1}")
    run_in_parallel(commands(tmp_path, *again))
    with np.load(tmp_path / "0.npz") as found:
        assert len(found["losses"]) == 11  # one more epoch


@tensorflow_only
def test_plain_keras_cannot_do_this_yet():
    """Once this fails, delete `reducible_logs` of `backend/tensorflow.py` and
    `_maybe_symbolic_build` of `ValidatedModel`, one at a time, if the tests above still pass."""
    code = """
import json, os, sys
cluster = {"worker": sys.argv[1:3]}
os.environ["TF_CONFIG"] = json.dumps(
    {"cluster": cluster, "task": {"type": "worker", "index": int(sys.argv[3])}})
import keras, numpy as np, tensorflow as tf
with tf.distribute.MultiWorkerMirroredStrategy().scope():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
model.fit(np.zeros((8, 3)), np.zeros((8, 1)), batch_size=4, verbose=0)
"""
    pair = addresses()
    with pytest.raises(AssertionError, match="PerReplica"):
        run_in_parallel([("-c", code, *pair, i) for i in range(2)])
