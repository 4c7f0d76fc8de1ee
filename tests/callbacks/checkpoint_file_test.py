import os
import signal
import threading

import numpy as np
import pytest
from keras import ops

from keras_isd.callbacks import Resume, checkpoint_file
from keras_isd.callbacks.checkpoint_file import DamagedCheckpointError

pytestmark = pytest.mark.one_backend("files are written by NumPy")


def test_every_flipped_bit_is_detected(tmp_path):
    path = tmp_path / "a.checkpoint"
    checkpoint_file.write(path, {"x": np.arange(3)}, {"epoch": 1})
    whole = path.read_bytes()
    for place in range(len(whole)):
        bit = 1 << (place % 8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        try:
            arrays, facts = checkpoint_file.read(path)
        except DamagedCheckpointError:
            continue
        assert facts == {"epoch": 1}
        assert arrays["x"].tolist() == [0, 1, 2]


def test_a_failed_write_keeps_the_previous_file(tmp_path, monkeypatch):
    path = tmp_path / "a.checkpoint"
    checkpoint_file.write(path, {"x": np.arange(3)}, {"epoch": 1})

    def full_disk(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        checkpoint_file.write(path, {"x": np.arange(4)}, {"epoch": 2})
    arrays, facts = checkpoint_file.read(path)
    assert facts == {"epoch": 1}
    np.testing.assert_array_equal(arrays["x"], [0, 1, 2])


def test_bfloat16_survives(tmp_path):
    path = tmp_path / "a.checkpoint"
    array = ops.convert_to_numpy(ops.cast([1.5, -2.0], "bfloat16"))
    checkpoint_file.write(path, {"x": array}, {})
    [found] = checkpoint_file.read(path)[0].values()
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()


@pytest.fixture
def held_back(monkeypatch):
    """An event that every write waits for."""
    let_go = threading.Event()

    def write(*arguments, write=checkpoint_file.write):
        assert let_go.wait(60)
        write(*arguments)

    monkeypatch.setattr(checkpoint_file, "write", write)
    yield let_go
    let_go.set()


def begin_write(folder, then=lambda: None):
    path = folder / "epoch000000_step000000001.checkpoint"
    checkpoint_file.write_in_background(path, {"x": np.arange(3)}, {"epoch": 0, "step": 1}, then)


def test_a_write_is_awaited_again_after_an_interrupted_wait(tmp_path, held_back):
    begin_write(tmp_path)
    control_c = (threading.get_ident(), signal.SIGINT)
    # Python installs no such handler if it starts with the signal ignored, as in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.2, signal.pthread_kill, control_c).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            checkpoint_file.wait(tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    threading.Timer(0.2, held_back.set).start()
    assert Resume(tmp_path).initial_step == 1


def test_an_error_in_the_background_is_logged(tmp_path, monkeypatch, caplog):
    def full_disk(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with caplog.at_level("ERROR", logger="absl"):
        begin_write(tmp_path)
        checkpoint_file._WRITER.submit(
            int
        ).result()  # its only thread has finished all writes before
    assert f"{tmp_path}/epoch000000_step000000001.checkpoint" in caplog.text
    assert "no space left" in caplog.text
    with pytest.raises(OSError, match=f"{tmp_path}.* could not be written: no space left"):
        checkpoint_file.wait(tmp_path)
    checkpoint_file.wait(tmp_path)  # raised only once
    assert Resume(tmp_path).initial_step == 0


def test_a_write_waits_for_the_one_before_it(tmp_path, held_back):
    done = []
    begin_write(tmp_path, lambda: done.append("first"))
    threading.Timer(0.2, held_back.set).start()
    begin_write(tmp_path, lambda: done.append("second"))
    assert done[0] == "first"
    checkpoint_file.wait(tmp_path)
    assert done == ["first", "second"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_process_forked_during_a_write_writes_by_itself(tmp_path, held_back):
    begin_write(tmp_path)
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # otherwise it could wait for a thread of the parent forever
        held_back.set()
        own = tmp_path / "own"
        own.mkdir()
        checkpoint_file.wait(tmp_path)
        begin_write(own)
        checkpoint_file.wait(own)
        os._exit(0 if any(own.glob("*.checkpoint")) else 1)
    assert os.waitpid(child, 0)[1] == 0
    held_back.set()
    checkpoint_file.wait(tmp_path)


def test_a_checkpoint_is_found_after_a_change_of_the_working_folder(
    tmp_path, held_back, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    resume = Resume("run")
    begin_write(resume.directory)
    monkeypatch.chdir("/")
    threading.Timer(0.2, held_back.set).start()
    assert Resume(tmp_path / "run").initial_step == 1
