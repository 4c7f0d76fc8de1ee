"""A checkpoint as one file that is either whole or not there."""

import concurrent.futures
import json
import os
import zipfile

import ml_dtypes  # noqa: F401 (teaches NumPy the names of bfloat16 and its like)
import numpy as np
from absl import logging

# One thread, which a program that ends waits for; and by folder what it writes.
_WRITER: concurrent.futures.ThreadPoolExecutor
_WRITING: dict = {}


def _start_anew():
    global _WRITER
    _WRITER = concurrent.futures.ThreadPoolExecutor(1, "keras_isd checkpoints")
    _WRITING.clear()


_start_anew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)  # the thread stays with the parent


class DamagedCheckpointError(Exception):
    """The file is not a whole checkpoint."""


def write(path, arrays, facts):
    """Writes named arrays and a dict of facts, so that a kill at any moment leaves no half a file.

    Args:
        path: `pathlib.Path`.
        arrays: dict of NumPy arrays.
        facts: dict that JSON can hold.
    """
    kinds = {name: str(array.dtype) for name, array in arrays.items()}
    stored = {f"array/{name}": _as_numpy_has_it(array) for name, array in arrays.items()}
    unfinished = path.with_suffix(".unfinished")
    with open(unfinished, "wb") as file:
        np.savez(file, facts=json.dumps({"facts": facts, "dtypes": kinds}), **stored)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name too is on the disk before an older file goes
    finally:
        os.close(folder)


def write_beside(path, arrays, facts, then):
    """Lets another thread `write`, and then call `then()`, while the caller goes on.

    The arrays may not change from now on. A folder has one write at a time: one that is due waits
    for the one before. What goes wrong is logged at once, as `fit` may end by another error and
    nobody wait, and raised by the next `wait`.

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
        except OSError as error:  # the checkpoint itself is there
            logging.warning("Beside %s not all could be cleared away: %s", path, error)

    _WRITING[folder] = (path, _WRITER.submit(run))


def wait(folder):
    """Returns when nothing is being written into a folder by this process.

    Raises:
        OSError: if what was being written could not be.
    """
    folder = folder.resolve()
    found = _WRITING.get(folder)
    if found is None:
        return
    path, writing = found
    concurrent.futures.wait([writing])  # who interrupts this finds it still being written
    if _WRITING.get(folder) is found:
        del _WRITING[folder]
    try:
        writing.result()
    except OSError as error:
        raise OSError(f"The checkpoint {path} could not be written: {error}") from error


# What reading raises of a file that is not as it was written; RuntimeError where the damage looks
# like encryption, or like another version of the format.
_DAMAGED = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)


def read(path):
    """Reads what `write` wrote, and checks every byte against its checksum (the zip file's).

    Returns:
        Dict of arrays, and the facts.

    Raises:
        DamagedCheckpointError: if the file is cut short, altered, or no checkpoint.
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


def _as_numpy_has_it(array):
    """The same bits, of a type that NumPy's files know: bfloat16 becomes uint16."""
    known = array.dtype.isbuiltin == 1
    return array if known else array.view(f"uint{8 * array.dtype.itemsize}")
