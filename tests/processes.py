"""Runs Python in a process of its own, under a Keras backend of choice."""

import os
import pathlib
import subprocess
import sys

import keras

ROOT = pathlib.Path(__file__).parent.parent


def run_python(*arguments, backend=None, cwd=ROOT, timeout=300):
    """Standard output of `python *arguments`; raises with its standard error if it fails."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend or keras.backend.backend(),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        cwd=cwd,
        timeout=timeout,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise AssertionError(f"python {' '.join(map(str, arguments))}\n{done.stderr[-4000:]}")
    return done.stdout
