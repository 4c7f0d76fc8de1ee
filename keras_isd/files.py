"""Atomic file writes: a kill at any moment leaves the old file or the new one, never a part."""

import contextlib
import os
import pathlib


@contextlib.contextmanager
def atomic_path(path):
    """Context in which a file is written under a hidden name, that is renamed to `path` at its end.

    The hidden name keeps the ending of `path`, which decides the format for many writers.

    Args:
        path: path of the file.

    Yields:
        The path to write to, in the same folder.
    """
    path = pathlib.Path(path)
    unfinished = path.with_name(f".unfinished.{path.name}")
    yield unfinished
    os.replace(unfinished, path)


def write_text(path, text):
    """Writes a text file atomically, in UTF-8."""
    with atomic_path(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
