"""A checkpoint as one file, written atomically by another thread."""

import concurrent.futures
import json
import os
import zipfile

import ml_dtypes  # noqa: F401 (registers bfloat16 and other types with NumPy)
import numpy as np
from absl import logging

# One thread, which a program waits for at its end; and the current write of each folder.
_WRITER: concurrent.futures.ThreadPoolExecutor
_WRITING: dict = {}


def _reset_writer():
    global _WRITER
    _WRITER = concurrent.futures.ThreadPoolExecutor(1, "keras_isd checkpoints")
    _WRITING.clear()


_reset_writer()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_writer)  # the thread stays with the parent


class DamagedCheckpointError(Exception):
    """The file is not a whole checkpoint."""


def write(path, arrays, facts):
    """Writes named arrays and a dict of facts atomically.

    Args:
        path: `pathlib.Path`.
        arrays: dict of NumPy arrays.
        facts: JSON-compatible dict.
    """
    kinds = {name: str(array.dtype) for name, array in arrays.items()}
    stored = {f"array/{name}": _as_numpy_type(array) for name, array in arrays.items()}
    unfinished = path.with_suffix(".unfinished")
    with open(unfinished, "wb") as file:
        np.savez(file, facts=json.dumps({"facts": facts, "dtypes": kinds}), **stored)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name must be on the disk before an older file is deleted
    finally:
        os.close(folder)


def write_in_background(path, arrays, facts, then):
    """Calls `write` and then `then()` in another thread.

    The arrays must not change afterwards. Each folder has one write at a time; the next one waits.
    An error is logged at once, since `fit` may end with another error before the next `wait`, which
    raises it.

    Raises:
        OSError: see `wait`.
    """
    folder = path.parent.resolve()
    wait(folder)

    def run():
        try:
            write(path, arrays, facts)
        except Exception as error:
            logging.error("The checkpoint %s could not be written: %s", path, error)
            raise
        try:
            then()
        except OSError as error:  # the checkpoint itself is whole
            logging.warning("Older files next to %s could not be deleted: %s", path, error)

    _WRITING[folder] = (path, _WRITER.submit(run))


def wait(folder):
    """Waits until this process writes nothing into a folder.

    Raises:
        OSError: if the last write failed.
    """
    folder = folder.resolve()
    found = _WRITING.get(folder)
    if found is None:
        return
    path, writing = found
    concurrent.futures.wait([writing])  # after an interrupt here the write is still registered
    if _WRITING.get(folder) is found:
        del _WRITING[folder]
    try:
        writing.result()
    except OSError as error:
        raise OSError(f"The checkpoint {path} could not be written: {error}") from error


# Errors of reading a damaged file; RuntimeError if the damage looks like encryption or another
# version of the format.
_DAMAGED = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)


def read(path):
    """Reads a checkpoint, and checks every byte against the zip file's checksums.

    Returns:
        Dict of arrays, and the facts.

    Raises:
        DamagedCheckpointError: if the file is truncated, altered, or not a checkpoint.
    """
    try:
        with np.load(path) as file:
            notes = json.loads(str(file["facts"]))
            arrays = {
                name: file[f"array/{name}"].view(dtype) for name, dtype in notes["dtypes"].items()
            }
            return arrays, notes["facts"]
    except _DAMAGED as error:
        raise DamagedCheckpointError(f"{path}: {error}") from error


def _as_numpy_type(array):
    """The same bits as a type that NumPy's files support: bfloat16 becomes uint16."""
    known = array.dtype.isbuiltin == 1
    return array if known else array.view(f"uint{8 * array.dtype.itemsize}")
