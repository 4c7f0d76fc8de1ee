"""Runs Python in a process of its own, under a Keras backend of choice."""

import os
import pathlib
import socket
import subprocess
import sys

import keras

ROOT = pathlib.Path(__file__).parent.parent.parent


def run_python(*arguments, cwd=ROOT, timeout=900, quiet=False, **environment):
    """Standard output of `python *arguments` with these variables in its environment; raises with
    its standard error if it fails, or if it is to be quiet and has any. The timeout is there to end
    a process that hangs, not to measure: what takes 30 seconds may take 300 on a busy machine."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": keras.backend.backend(),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **environment,
    }
    if quiet:  # without help
        del environment["TF_CPP_MIN_LOG_LEVEL"]
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        cwd=cwd,
        timeout=timeout,
        capture_output=True,
        text=True,
    )
    if done.returncode or (quiet and done.stderr):
        raise AssertionError(f"python {' '.join(map(str, arguments))}\n{done.stderr[-4000:]}")
    return done.stdout


def addresses():
    """Two free addresses of this machine."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return [f"localhost:{port}" for port in ports]
