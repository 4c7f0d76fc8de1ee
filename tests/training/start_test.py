"""A run that starts from another one: its weights, its statistics, and its resumption."""

import json
import re

import keras
import numpy as np
import pytest
from PIL import Image

import keras_isd
from keras_isd import data, training
from keras_isd.training import run_folder

pytestmark = pytest.mark.slow
SMALL = {"size": 12, "epochs": 2, "batch_size": 12, "queue_size": 16, "accelerator": False}


def write_images(folder, count, seed=0, first=0):
    random = np.random.RandomState(seed)
    folder.mkdir(exist_ok=True)
    for number in range(first, first + count):
        pixels = random.randint(0, 4000, (14, 14)).astype("uint16")
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def make_run(source, folder, settings, lines=None, **options):
    log_fn = (lambda line: None) if lines is None else lines.append
    return training.Run(folder, source, settings, log_fn=log_fn, **options)


def weights(model, parts=run_folder.PARTS):
    return {name: getattr(model, name).get_weights() for name in parts if getattr(model, name)}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Folder of images, and a finished run of them."""
    folder = tmp_path_factory.mktemp("first")
    source = data.from_folder(write_images(folder / "images", 36), channels=1)
    settings = training.choose_settings(source, **SMALL, domain="photo")
    make_run(source, folder / "run", settings).train()
    return folder / "images", folder / "run"


def test_a_run_starts_with_student_teacher_queue_and_statistics_of_another(first, tmp_path):
    images, start = first
    write_images(images, 12, seed=1, first=36)
    source = data.from_folder(images, channels=1)
    assert run_folder.count_new_images(start, source) == 12
    settings = training.choose_settings(source, **SMALL, domain="photo", learning_rate=1e-12)
    lines: list = []
    model = make_run(source, tmp_path / "run", settings, lines, start=start).train()
    assert any(line == f"Started from {start}: {', '.join(weights(model))}" for line in lines)
    old, new = weights(training.load_run(start)[0]), weights(model)
    for name in ("student_backbone", "projector", "predictor"):
        trainable = [w for w, v in zip(new[name], getattr(model, name).weights) if v.trainable]
        before = [w for w, v in zip(old[name], getattr(model, name).weights) if v.trainable]
        for one, other in zip(trainable, before, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)  # the learning rate is nearly 0
    views = [json.loads((folder / "view.json").read_text()) for folder in (start, tmp_path / "run")]
    assert views[0] == views[1]
    assert json.loads((tmp_path / "run/run.json").read_text())["start"] == str(start)


def test_a_run_that_starts_from_another_resumes_as_it_would_have_ended(first, tmp_path):
    images, start = first
    source = data.from_folder(images, channels=1)
    settings = training.choose_settings(source, **SMALL, domain="photo")
    whole = make_run(source, tmp_path / "whole", settings, start=start).train()
    interrupted = make_run(source, tmp_path / "part", settings, start=start)
    make_model = interrupted.make_model

    def make_interrupted(steps):
        model = make_model(steps)
        fit = model.fit
        model.fit = lambda *args, callbacks, **kwargs: fit(
            *args, callbacks=[*callbacks, StopAfterFirstEpoch()], **kwargs
        )
        return model

    interrupted.make_model = make_interrupted
    with pytest.raises(KeyboardInterrupt):
        interrupted.train()
    resumed = make_run(source, tmp_path / "part", settings, start=start).train()
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="start="):
        make_run(source, tmp_path / "part", settings).train()


class StopAfterFirstEpoch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_another_network_or_an_unfinished_run_is_refused(first, tmp_path):
    images, start = first
    source = data.from_folder(images, channels=1)
    settings = training.choose_settings(source, **SMALL, domain="photo", network="resnet18")
    with pytest.raises(ValueError, match="`start` must be a run with the same network"):
        make_run(source, tmp_path / "run", settings, start=start).train()
    settings = training.choose_settings(source, **SMALL, domain="photo")
    with pytest.raises(ValueError, match="finished run"):
        make_run(source, tmp_path / "other", settings, start=tmp_path)


def test_a_queue_of_another_size_begins_anew(first, tmp_path):
    images, start = first
    source = data.from_folder(images, channels=1)
    settings = training.choose_settings(
        source, **{**SMALL, "queue_size": 20, "epochs": 1}, domain="photo"
    )
    lines: list = []
    make_run(source, tmp_path / "run", settings, lines, start=start).train()
    started = next(line for line in lines if line.startswith("Started from"))
    assert "student_backbone" in started
    assert "queue" not in started


@pytest.mark.one_backend("the command line is the same")
def test_on_the_command_line_settings_are_those_of_the_run_to_start_from(first, tmp_path, capsys):
    from keras_isd.command.main import main

    images, start = first
    output = tmp_path / "run"
    line = ["train", str(images), f"--output={output}", f"--start={start}", "--epochs=1"]
    assert main(line) == 0
    printed = capsys.readouterr().out
    assert re.search(f"--size=12 +as in {start}", printed)
    facts = json.loads((output / "run.json").read_text())["settings"]
    old = json.loads((start / "run.json").read_text())["settings"]
    for name in ("method", "size", "network", "queue_size"):
        assert facts[name] == old[name]
    assert "domain" not in facts  # photographs, though the images have 16 bits
    assert isinstance(training.load_run(output)[0], keras_isd.ISDModel)


@pytest.mark.one_backend("the command line is the same")
def test_two_runs_are_compared(first, tmp_path, capsys):
    from keras_isd.command.main import main

    images, run = first
    source = data.from_folder(images, channels=1)
    settings = training.choose_settings(
        source, **{**SMALL, "epochs": 3, "queue_size": 20}, domain="photo"
    )
    make_run(source, tmp_path / "other", settings, seed=4).train()
    assert main(["compare", str(run), str(tmp_path / "other"), f"--images={images}"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"settings\.epochs +2 +3", printed)
    assert re.search(r"settings\.queue_size +16 +20", printed)
    assert re.search(r"seed +0 +4", printed)
    assert "settings.size" not in printed
    assert re.search(r"epochs +2 +3\nloss +\d+\.\d{3} +\d+\.\d{3}\n", printed)
    agreed = re.search(r"neighbours: (\S+)% of the 10 nearest of \d+ images are the same", printed)
    assert float(agreed[1]) < 100
    assert main(["compare", str(run), str(run), f"--images={images}"]) == 0
    printed = capsys.readouterr().out
    assert "100.0% of the 10 nearest" in printed
    assert "settings that differ" in printed
    assert "none" in printed
    assert main(["compare", str(run), str(tmp_path)]) == 1
    assert "finished run" in capsys.readouterr().err


def test_the_error_for_more_epochs_of_a_finished_run_names_the_next_phase(tmp_path, capsys):
    from keras_isd.command.main import main

    (tmp_path / "run").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "run" / "model.keras").touch()
    (tmp_path / "run" / "run.json").write_text('{"settings": {"epochs": 10}}')
    run = f"{tmp_path}/run"
    assert main(["train", f"{tmp_path}/images", f"--output={run}", "--epochs=30"]) == 1
    assert f"--start={run} --output={run}-2 --epochs=20" in capsys.readouterr().err


@pytest.mark.parametrize(("damaged", "status"), [(24, 1), (5, None)])
def test_nothing_is_trained_if_most_images_cannot_be_read(damaged, status, tmp_path, capsys):
    from keras_isd.command.main import main

    images = tmp_path / "images"
    images.mkdir()
    for number in range(40):
        file = images / f"{(7 * number) % 40:02}.png"
        Image.fromarray(np.full((12, 12, 3), 6 * number, "uint8")).save(file)
        if number < damaged:
            file.write_bytes(b"no image")
    line = ["train", str(images), f"--output={tmp_path}/run", "--size=12", "--epochs=1"]
    assert (main([*line, "--batch_size=8"]) or None) == status
    printed = capsys.readouterr().err
    if status:
        assert "--max_unreadable allows at most 50% of the images to be unreadable" in printed
        assert not (tmp_path / "run" / "run.json").exists()
        assert not main([*line, "--batch_size=8", "--max_unreadable=0.9"])
