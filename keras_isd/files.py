"""Atomic file writes, and locks against other processes.

A kill at any moment, or a full disk, leaves the old file or the new one, never a part.
"""

import contextlib
import errno
import os
import pathlib
import sys


@contextlib.contextmanager
def atomic_path(path):
    """Context in which a file is written under a hidden name, that is renamed to `path` at its end.

    The hidden name keeps the ending of `path`, which decides the format for many writers.

    Args:
        path: path of the file.

    Yields:
        The path to write to, in the same folder. If the writing fails, that file is deleted.
    """
    path = pathlib.Path(path)
    unfinished = path.with_name(f".unfinished.{path.name}")
    try:
        yield unfinished
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    os.replace(unfinished, path)


def write_text(path, text):
    """Writes a text file atomically, in UTF-8; bytes of names that are no text are escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path, contents):
    """Writes a file atomically."""
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(contents)


@contextlib.contextmanager
def lock(path):
    """Context in which no other process, and no other thread, can lock the same path.

    The lock is the file `.NAME.lock` next to `path`. A kill frees it.

    Args:
        path: path of the file or folder that is written.

    Raises:
        BlockingIOError: if another one has the lock.
    """
    path = pathlib.Path(path).absolute()
    place = path.with_name(f".{path.name}.lock")
    file = _open_locked(place)
    if file is None:
        raise BlockingIOError(f"Another process is writing {path}")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # on Windows, an open file stays
            place.unlink()
        file.close()


def _open_locked(place):
    """The open file of a lock; None if another process has it."""
    while True:
        file = open(place, "a")  # noqa: SIM115 - closed by `lock`, or below
        try:
            _lock_file(file)
            # The process that had the lock may have deleted the file in between.
            if os.path.samestat(os.fstat(file.fileno()), os.stat(place)):
                return file
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                file.close()
                return None
            if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):  # of some network disks
                return file
            file.close()
            raise
        file.close()


def _lock_file(file):
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
