"""Runs Python in a separate process, under any Keras backend."""

import multiprocessing
import os
import pathlib
import runpy
import socket
import subprocess
import sys
import tempfile

import keras

ROOT = pathlib.Path(__file__).parent.parent.parent


def run_python(*arguments, cwd=ROOT, timeout=900, quiet=False, fresh=False, **environment):
    """Standard output of `python *arguments` with these variables in its environment.

    Raises an AssertionError with the standard error if the process fails, or if it has any and
    `quiet` is True. The timeout only ends a process that hangs: a command that takes 30 seconds may
    take 300 on a busy machine. Unless the process is `fresh` or `quiet`, or has variables, it has
    imported the package when it starts.
    """
    if fresh or quiet or environment:
        level = None if quiet else "3"  # a quiet process must be so by itself
        found = run_fresh(arguments, cwd, timeout, TF_CPP_MIN_LOG_LEVEL=level, **environment)
    else:
        found = run_forked(arguments, cwd, timeout)
    status, out, errors = found
    if status or (quiet and errors):
        raise AssertionError(f"python {' '.join(map(str, arguments))}\n{errors[-4000:]}")
    return out


def run_fresh(arguments, cwd=ROOT, timeout=900, **environment):
    """Status, standard output and standard error of `python *arguments` in a new process.

    The variables are set in its environment, or removed if they are None.
    """
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend(), **environment}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={name: value for name, value in environment.items() if value is not None},
        cwd=cwd,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def run_forked(arguments, cwd=ROOT, timeout=900):
    """Like `run_fresh`, but in a process that has already imported the package."""
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder, name) for name in ("out", "errors")]
        process = start_forked(arguments, cwd, *files)
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(arguments, timeout)
        return process.exitcode, *(file.read_text() for file in files)


def start_forked(arguments, cwd=ROOT, out=os.devnull, errors=os.devnull):
    """Starts `python *arguments` as a fork of a process that has only imported the package.

    Importing Keras and its backend takes longer than most tests.
    """
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["keras_isd", "keras_isd.data", "keras_isd.evaluation"])
    arguments = [*map(str, arguments)]
    process = forks.Process(target=_run, args=(arguments, str(cwd), out, errors))
    process.start()
    return process


def _run(arguments, cwd, *files):
    """Runs `python *arguments` here, with standard output and standard error in these files."""
    for number, file in enumerate(files, start=1):
        with open(file, "wb") as opened:
            os.dup2(opened.fileno(), number)
    os.chdir(cwd)
    kind, *rest = arguments
    if kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str(pathlib.Path(kind).parent.resolve()))
        runpy.run_path(kind, run_name="__main__")


def addresses():
    """Two free addresses of this machine."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return [f"localhost:{port}" for port in ports]
