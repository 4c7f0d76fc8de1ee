"""Files are whole or absent, and one process at a time writes them."""

import errno
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

import keras_isd
from keras_isd.command import tables
from keras_isd.files import atomic_path, lock, write_text

pytestmark = pytest.mark.one_backend("files are written without a backend")
HOLDER = """
import sys, time
from keras_isd.files import lock
with lock(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_full_disk_keeps_the_old_file(tmp_path):
    write_text(tmp_path / "a.csv", "old")

    def write_half():
        with atomic_path(tmp_path / "a.csv") as unfinished:
            unfinished.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_half()
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"


def write_report(path):
    keras_isd.visualization.write_report(path, "Title", {}, {}, {})


def write_figure(path):
    keras_isd.visualization.plot_image_rows(np.zeros((2, 8, 8, 3), "uint8"), [[0, 1]], path=path)


def write_table(path):
    tables.write_table(path, ["name"], [["a"]])


@pytest.mark.parametrize(
    ("write", "ending"), [(write_report, "html"), (write_figure, "png"), (write_table, "csv")]
)
def test_pages_figures_and_tables_are_written_beside_the_old_ones(
    tmp_path, monkeypatch, write, ending
):
    path = tmp_path / f"a.{ending}"
    write(path)
    old = path.read_bytes()

    def raise_full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("keras_isd.files.os.replace", raise_full)
    with pytest.raises(OSError, match="No space"):
        write(path)
    assert path.read_bytes() == old


def test_names_that_are_not_unicode_do_not_lose_a_page(tmp_path):
    write_text(tmp_path / "a.html", "latin\udce9.png")
    assert (tmp_path / "a.html").read_text() == "latin\\udce9.png"


def test_a_lock_is_for_one_process_and_a_kill_frees_it(tmp_path):
    path = tmp_path / "features.npy"
    arguments = [sys.executable, "-c", HOLDER, str(path)]
    root = pathlib.Path(keras_isd.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(BlockingIOError, match=r"Another process is writing .*features\.npy"):
            lock(path).__enter__()
        holder.send_signal(signal.SIGKILL)
    with lock(path):
        pass
    assert list(tmp_path.iterdir()) == []
