import os
import random
import signal
import threading
import time

import keras
import numpy as np
import pytest
from keras import ops

import keras_isd
from keras_isd.callbacks import Resume, checkpoint_file
from keras_isd.callbacks import resume as resume_module
from tests.support import resume_script
from tests.support.processes import run_python, start_forked

SCRIPT = "tests.support.resume_script"

tf = pytest.importorskip("tensorflow", reason="keras_isd.data needs it")

# How often the run is killed: a few times, to save time; 20 for a thorough check.
KILLS = int(os.environ.get("KERAS_ISD_KILLS", "3"))


class StopError(Exception):
    pass


class StopAt(keras.callbacks.Callback):
    """Stops a run with an error after a step of an epoch."""

    def __init__(self, epoch, step):
        super().__init__()
        self.place = (epoch, step)

    def set_other_callbacks(self, callbacks):
        """Makes `fit` call this after the others, as if the process were killed after `Resume`."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch + 1) == self.place:
            raise StopError


def state(isd):
    variables = (*isd.variables, *isd.optimizer.variables)
    return {f"{i} {v.path}": ops.convert_to_numpy(v) for i, v in enumerate(variables)}


def assert_same(found, expected):
    for (name, one), other in zip(found.items(), expected.values(), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    isd, logs = resume_script.run(tmp_path_factory.mktemp("whole"))
    return state(isd), logs


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # a resumed epoch is shorter
@pytest.mark.parametrize(
    ("every_n_steps", "places", "left"),
    [
        (3, [(1, 4), (2, 2)], [(1, 3), (2, 0)]),  # the second counts from the resumed step
        (1, [(0, 1), (2, 7)], [(0, 1), (2, 6)]),  # the last step of an epoch is saved at its end
        (None, [(3, 5)], [(3, 0)]),
    ],
)
def test_a_stopped_run_ends_as_an_uninterrupted_one(
    tmp_path, whole_run, every_n_steps, places, left
):
    for place, checkpoint in zip(places, left, strict=True):
        with pytest.raises(StopError):
            resume_script.run(tmp_path, [StopAt(*place)], every_n_steps)
        resume = Resume(tmp_path)
        assert (resume.initial_epoch, resume.initial_step) == checkpoint
    isd, logs = resume_script.run(tmp_path, every_n_steps=every_n_steps)
    assert_same(state(isd), whole_run[0])
    assert logs == whole_run[1]
    assert Resume(tmp_path).initial_epoch == resume_script.EPOCHS
    again, logs = resume_script.run(tmp_path)  # only reads the checkpoint
    assert_same(state(again), whole_run[0])
    assert logs == {}


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="for Resume the stopped runs above are the same"
)
@pytest.mark.parametrize(
    "method",
    [
        "isd",
        *(
            pytest.param(name, marks=pytest.mark.one_backend("ISD's run is killed on each backend"))
            for name in ("distillation", "msf")
        ),
    ],
)
def test_a_run_killed_at_random_moments_ends_as_an_uninterrupted_one(tmp_path, method):
    def command(name):  # long enough to run until the last kill
        script = ("-m", SCRIPT, tmp_path / name, tmp_path / f"{name}.npz")
        return [*map(str, script), str(2 + 2 * KILLS), f"--method={method}"]

    run_python(*command("whole"))
    for kill in range(KILLS):
        process = start_forked(command("killed"))
        # At any moment after the first checkpoint of this process: every step writes one.
        before, deadline = latest(tmp_path / "killed"), time.monotonic() + 120
        while latest(tmp_path / "killed") == before and process.is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(random.Random(kill).uniform(0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    run_python(*command("killed"))
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "killed.npz") as found:
        assert_same(dict(found), dict(whole))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="replicas are TensorFlow's")
def test_replicas_resume_within_an_epoch(tmp_path):
    def script(name, *devices):
        run_python("-m", SCRIPT, tmp_path / "saved", tmp_path / name, 2, *devices)
        with np.load(tmp_path / name) as arrays:
            return dict(arrays)

    whole = script("whole.npz", 2)
    (tmp_path / "saved" / latest(tmp_path / "saved")).unlink()
    assert "epoch000001_step000000006" in latest(tmp_path / "saved")
    resumed = script("resumed.npz", 2)
    for name in [name for name in whole if name.startswith("logs/")]:
        # A checkpoint adds up the replicas' sums in another order than the end of an epoch.
        np.testing.assert_allclose(resumed.pop(name), whole.pop(name), rtol=1e-6, err_msg=name)
    assert_same(resumed, whole)


def latest(directory):
    return max((path.name for path in directory.glob("*.checkpoint")), default="")


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # a resumed epoch is shorter
def test_a_damaged_checkpoint_is_skipped(tmp_path, whole_run):
    with pytest.raises(StopError):
        resume_script.run(tmp_path, [StopAt(2, 6)], every_n_steps=2)
    checkpoint_file.wait(tmp_path)
    older, newest = sorted(tmp_path.iterdir())
    whole = newest.read_bytes()
    halves = {"cut": whole[: len(whole) // 2], "altered": flipped(whole), "empty": b""}
    for damage in halves.values():
        newest.write_bytes(damage)
        resume = Resume(tmp_path, every_n_steps=2)
        assert (resume.initial_epoch, resume.initial_step) == (2, 4)
    (tmp_path / "epoch000009_step000000000.unfinished").write_bytes(whole)
    future = tmp_path / "epoch000004_step000000000.checkpoint"
    future.write_bytes(flipped(whole))
    Resume(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4  # reading changes nothing
    with pytest.raises(StopError):
        resume_script.run(tmp_path, [StopAt(2, 1)], every_n_steps=1)  # the fifth step
    checkpoint_file.wait(tmp_path)
    # New checkpoints are kept; damaged and unfinished ones are deleted.
    assert sorted(tmp_path.iterdir()) == [older, older.with_stem("epoch000002_step000000005")]
    isd, _ = resume_script.run(tmp_path, every_n_steps=2)
    assert_same(state(isd), whole_run[0])


def flipped(whole):
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


def test_a_checkpoint_has_the_state_of_its_step_though_training_continues(
    tmp_path, whole_run, monkeypatch
):
    written, continued = [], threading.Event()

    def slowly(path, arrays, facts, write=checkpoint_file.write):
        at_first = {name: array.copy() for name, array in arrays.items()}
        assert continued.wait(60), "training waits for the first checkpoint to be written"
        write(path, arrays, facts)
        assert_same(arrays, at_first)
        written.append((facts["epoch"], facts["step"], int(arrays["optimizer/00000"])))

    def set_continued(batch, logs=None):
        if batch == 1:
            continued.set()

    monkeypatch.setattr(checkpoint_file, "write", slowly)
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=set_continued)
    isd, _ = resume_script.run(tmp_path, [watch], every_n_steps=1)
    assert_same(state(isd), whole_run[0])
    assert len(written) == resume_script.EPOCHS * resume_script.STEPS
    for epoch, step, iterations in written:
        assert iterations == epoch * resume_script.STEPS + step
    # `fit` returns only after the last checkpoint is written.
    assert (tmp_path / f"epoch{resume_script.EPOCHS:06}_step{0:09}.checkpoint").exists()


def test_training_waits_for_the_file_before_it_copies_the_next(tmp_path, monkeypatch):
    copied_while_writing, writing = [], []

    def slowly(*arguments, write=checkpoint_file.write):
        writing.append(True)
        time.sleep(0.1)
        write(*arguments)
        writing.clear()

    def to_numpy(variable, to_numpy=resume_module.backend.to_numpy):
        copied_while_writing.extend(writing)
        return to_numpy(variable)

    monkeypatch.setattr(checkpoint_file, "write", slowly)
    monkeypatch.setattr(resume_module.backend, "to_numpy", to_numpy)
    resume_script.run(tmp_path, every_n_steps=1, epochs=1)
    assert not copied_while_writing  # otherwise two copies would take memory


def test_a_checkpoint_being_written_when_a_run_stops_is_used(tmp_path, monkeypatch):
    def slowly(*arguments, write=checkpoint_file.write):
        time.sleep(0.5)
        write(*arguments)

    monkeypatch.setattr(checkpoint_file, "write", slowly)
    with pytest.raises(StopError):
        resume_script.run(tmp_path, [StopAt(0, 2)], every_n_steps=1)
    resume = Resume(tmp_path)
    assert (resume.initial_epoch, resume.initial_step) == (0, 2)


def test_a_checkpoint_that_cannot_be_written_stops_the_run(tmp_path, monkeypatch):
    def full_disk(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match=r"step000000002\.checkpoint could not be written: no space"):
        resume_script.run(tmp_path, every_n_steps=2)
    monkeypatch.setattr(checkpoint_file, "write", lambda *_: full_disk(None))
    with pytest.raises(OSError, match=r"epoch000001.* could not be written"):  # at the end
        resume_script.run(tmp_path / "other", every_n_steps=None, epochs=1)


def test_the_last_checkpoints_are_kept(tmp_path):
    keras_isd_run = Resume(tmp_path, every_n_steps=3, keep=3)
    resume_script.model().fit(
        resume_script.batches(keras_isd_run),
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[keras_isd_run],
    )
    assert [path.stem for path in sorted(tmp_path.iterdir())] == [
        "epoch000001_step000000003",
        "epoch000001_step000000006",
        "epoch000002_step000000000",
    ]


def test_a_checkpoint_of_another_model_is_rejected(tmp_path):
    with pytest.raises(StopError):
        resume_script.run(tmp_path, [StopAt(1, 1)])
    backbone = keras_isd.backbones.ConvNet((8, 8, 3), (8,))
    other = keras_isd.ISDModel(backbone, queue_size=61)
    other.compile(keras_isd.optimizers.SGD(0.05))
    with pytest.raises(ValueError, match=r"of another model.*Received: \d+ variables"):
        resume_script.run(tmp_path, isd=other)


def test_fit_must_resume_in_the_right_epoch(tmp_path):
    with pytest.raises(StopError):
        resume_script.run(tmp_path, [StopAt(1, 1)])
    resume = Resume(tmp_path)
    with pytest.raises(
        ValueError, match=r"`initial_epoch` of `fit` must be 1.*Received: initial_epoch=0"
    ):
        resume_script.model().fit(
            resume_script.batches(resume), epochs=2, shuffle=False, callbacks=[resume], verbose=0
        )


def test_saving_within_an_epoch_needs_a_known_length(tmp_path):
    isd, batches = resume_script.model(), resume_script.batches(Resume(tmp_path))
    batches = batches.apply(tf.data.experimental.assert_cardinality(-2))  # unknown
    with pytest.raises(ValueError, match=r"`every_n_steps` must .*Received: every_n_steps=2"):
        isd.fit(batches, shuffle=False, callbacks=[Resume(tmp_path, every_n_steps=2)], verbose=0)


@pytest.mark.parametrize("arguments", [{"every_n_steps": 0}, {"keep": 0}])
def test_bad_arguments_are_named_in_the_error(tmp_path, arguments):
    [(name, _)] = arguments.items()
    with pytest.raises(
        ValueError, match=f"`{name}` must be a positive integer. Received: {name}=0"
    ):
        Resume(tmp_path, **arguments)


def test_a_loss_that_is_not_finite_leaves_the_last_good_checkpoint(tmp_path):
    isd = resume_script.model()
    resume = Resume(tmp_path, every_n_steps=1)

    def views():
        for step in range(6):
            images = np.random.RandomState(step).standard_normal((8, 8, 8, 3)).astype("float32")
            yield (
                {"query": images if step < 4 else images * np.nan, "key": images},
                np.zeros(8, int),
            )

    with pytest.raises(FloatingPointError, match="training step 5"):
        isd.fit(views(), steps_per_epoch=6, verbose=0, shuffle=False, callbacks=[resume])
    assert (Resume(tmp_path).initial_epoch, Resume(tmp_path).initial_step) == (0, 4)
    arrays, _ = resume._newest()
    assert all(np.isfinite(a).all() for a in arrays.values() if a.dtype.kind == "f")


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Resume("~/runs").directory == tmp_path / "runs"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def rated(rate=0.04, optimizer=keras_isd.optimizers.SGD, **kwargs):
    """The model with a learning rate that callbacks can set."""
    isd = resume_script.model()
    isd.compile(optimizer(rate, momentum=0.9, **kwargs))
    return isd


CALLBACKS = {
    "LearningRateScheduler": lambda path: keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: rate * 0.5
    ),
    "ReduceLROnPlateau": lambda path: keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.5, patience=2, cooldown=1, min_delta=10.0
    ),
    "EarlyStopping": lambda path: keras.callbacks.EarlyStopping(
        "loss", patience=3, min_delta=10.0, restore_best_weights=True
    ),
    "ModelCheckpoint": lambda path: keras.callbacks.ModelCheckpoint(
        path / "best.keras", "loss", save_best_only=True
    ),
    "CSVLogger": lambda path: keras.callbacks.CSVLogger(path / "log.csv"),
}


def callback_state(callback, path):
    found = {n: v for n, v in vars(callback).items() if n in ("wait", "best", "cooldown_counter")}
    found |= {n: vars(callback)[n] for n in ("best_epoch", "stopped_epoch") if n in vars(callback)}
    log = path / "log.csv"
    return {**found, "log": log.read_text() if log.is_file() else None}


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    ("name", "places"),
    [
        *((name, [(1, 4), (3, 2)]) for name in CALLBACKS),
        ("LearningRateScheduler", [(2, 1), (2, 6)]),  # within one epoch
    ],
    ids=str,
)
def test_callbacks_of_keras_resume_as_in_an_uninterrupted_run(name, places, tmp_path):
    found = []
    for stops, folder in (([], tmp_path / "whole"), (places, tmp_path / "stopped")):
        folder.mkdir()
        for place in stops:
            callbacks = [CALLBACKS[name](folder), StopAt(*place)]
            with pytest.raises(StopError):
                resume_script.run(folder / "run", callbacks, isd=rated())
        callback = CALLBACKS[name](folder)
        isd, logs = resume_script.run(folder / "run", [callback], isd=rated())
        rate = float(isd.optimizer.learning_rate)
        found.append((state(isd), logs, rate, callback_state(callback, folder)))
    (one, *whole), (other, *stopped) = found
    assert stopped == whole
    assert_same(other, one)
    if name in ("LearningRateScheduler", "ReduceLROnPlateau"):
        assert whole[1] < 0.03  # the callback did set it


def test_a_resumed_run_warns_of_a_custom_callback(tmp_path, caplog):
    class Mine(keras.callbacks.Callback):
        pass

    with caplog.at_level("WARNING", logger="absl"):
        resume_script.run(tmp_path, [Mine()], epochs=1)
        assert "Mine" not in caplog.text
        resume_script.run(tmp_path, [Mine()], epochs=2)
    assert "not in the checkpoints and starts anew: Mine" in caplog.text


def rms_prop(rate, momentum):
    """As many variables, of the same shapes, as SGD with momentum has."""
    return keras.optimizers.RMSprop(rate)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (lambda: rated(optimizer=rms_prop), "optimizer='RMSprop', not 'SGD'"),
        (lambda: rated(weight_decay=0.1), "optimizer weight_decay=0.1, not None"),
    ],
)
def test_another_optimizer_is_rejected(other, expected, tmp_path):
    resume_script.run(tmp_path, isd=rated(), epochs=1)
    with pytest.raises(ValueError, match=f"run with other settings.*Received: .*{expected}"):
        resume_script.run(tmp_path, isd=other(), epochs=2)
    resume_script.run(tmp_path, isd=rated(0.01), epochs=2)  # the learning rate may change


def small_run(directory, images=32, batch_size=8, epochs=1, **kwargs):
    model = keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((8, 8, 3), (4,)), queue_size=16, seed=0, **kwargs
    )
    model.compile(keras_isd.optimizers.SGD(0.01))
    resume = Resume(directory)
    views = {name: np.random.rand(images, 8, 8, 3) for name in ("query", "key")}
    place = {"initial_epoch": resume.initial_epoch, "epochs": epochs}
    model.fit(views, batch_size=batch_size, callbacks=[resume], verbose=0, **place)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"batch_size": 4}, "steps of an epoch=8, not 4"),
        ({"images": 64}, "steps of an epoch=8, not 4"),
        ({"teacher_temperature": 0.5}, "model teacher_temperature=0.5, not 0.01"),
        ({"teacher_momentum": 0.5}, "model teacher_momentum=0.5, not 0.99"),
        ({"own_key_anchor": True}, "model own_key_anchor=True, not False"),
    ],
    ids=str,
)
def test_settings_of_another_run_are_rejected(changed, expected, tmp_path):
    small_run(tmp_path)
    with pytest.raises(ValueError, match=f"run with other settings.*Received: {expected}"):
        small_run(tmp_path, epochs=2, **changed)
    small_run(tmp_path, epochs=2)
    assert Resume(tmp_path).initial_epoch == 2
