"""Settings are chosen, and a run trains with them in a folder."""

import csv
import dataclasses
import functools
import json
import math
import re
import types

import keras
import numpy as np
import PIL.Image
import pytest

import keras_isd
from keras_isd import data, training
from keras_isd.training import progress, report, run, run_folder
from tests.support.interrupts import InterruptedFeatures

pytestmark = pytest.mark.slow
SMALL = {"size": 12, "epochs": 2, "batch_size": 12, "queue_size": 24, "accelerator": False}


def images(count=40, size=14, channels=3, dtype="uint8", seed=0):
    high = 256 if dtype == "uint8" else 4000
    shape = (count, size, size, channels)
    return np.random.RandomState(seed).randint(0, high, shape).astype(dtype)


def arrays(*args, labels=None, **kwargs):
    return data.from_arrays(images(*args, **kwargs), labels)


def train(source, folder, settings, **kwargs):
    return make_run(source, folder, settings, **kwargs).train()


def make_run(source, folder, settings, log_fn=lambda line: None, **kwargs):
    return training.Run(folder, source, settings, log_fn=log_fn, **kwargs)


@pytest.mark.parametrize(
    ("count", "size", "accelerator", "expected"),
    [
        (200, 32, False, (32, "convnet", 50, 100, 500)),
        (10_000, 32, False, (32, "convnet", 64, 4096, 200)),
        (50_000, 32, False, (32, "convnet", 64, 4096, 40)),
        (400_000, 8, False, (32, "convnet", 64, 4096, 20)),
        (1000, 90, False, (64, "convnet", 64, 500, 500)),
        (50, 300, False, (64, "convnet", 12, 25, 500)),
        (50_000, 32, True, (32, "resnet18", 256, 8192, 400)),
        (50, 300, True, (224, "resnet18", 12, 25, 1000)),
    ],
)
@pytest.mark.one_backend("the settings depend only on the number and size of images")
def test_settings_follow_the_number_and_size_of_images_and_the_device(
    count, size, accelerator, expected
):
    one = np.zeros((1, size, size, 3), "uint8")
    source = data.from_arrays(np.broadcast_to(one, (count, size, size, 3)))
    found = training.choose_settings(source, accelerator=accelerator)
    assert found.method == "isd"
    values = (found.size, found.network, found.batch_size, found.queue_size, found.epochs)
    assert values == expected
    assert set(found.reasons) == {*found.values(), "domain", "normalize"}


@pytest.mark.parametrize(
    ("channels", "dtype", "domain", "normalize"),
    [
        (1, "uint16", "microscopy", "background"),
        (3, "uint8", "photo", "none"),
        (1, "float32", "photo", "none"),
        (13, "uint16", "satellite", "none"),
    ],
)
def test_the_domain_follows_the_kind_of_the_images(channels, dtype, domain, normalize):
    pixels = np.random.RandomState(0).randint(0, 255, (20, 8, 8, channels)).astype(dtype)
    source = data.from_arrays(pixels, channels=channels)
    found = training.choose_settings(source, accelerator=False)
    assert (found.domain, found.normalize) == (domain, normalize)
    asked = training.choose_settings(
        source, accelerator=False, domain="industry", normalize="image"
    )
    assert (asked.domain, asked.normalize) == ("industry", "image")
    assert asked.reasons["domain"] == "as asked"


def test_a_run_that_normalises_each_image_is_loaded_with_its_view(tmp_path):
    pixels = np.random.RandomState(0).randint(300, 900, (40, 12, 12, 1)).astype("uint16")
    source = data.from_arrays(pixels, channels=1)
    settings = training.choose_settings(source, **{**SMALL, "epochs": 1})
    train(source, tmp_path, settings)
    _, view = training.load_run(tmp_path)
    assert isinstance(view.operations[0], keras_isd.augmentation.NormalizeImage)
    brighter = (pixels * 2 + 500).astype("uint16")
    one, other = (keras.ops.convert_to_numpy(view(x)) for x in (pixels, brighter))
    np.testing.assert_allclose(one, other, atol=0.02)


def test_large_files_are_read_from_smaller_copies(tmp_path):
    for number in range(20):
        image = PIL.Image.fromarray(images(1, 60)[0])
        image.save(tmp_path / f"{number}.png")
    source = data.from_folder(tmp_path)
    settings = training.choose_settings(source, **SMALL)
    assert settings.stored_size == 24
    assert training.choose_settings(source, **{**SMALL, "size": 21}).stored_size == 0
    train(source, tmp_path / "run", settings)
    [*files] = (tmp_path / "run" / "resized").rglob("*.jpg")
    assert len(files) == 20
    assert PIL.Image.open(files[0]).size == (24, 24)


def test_the_learning_rate_on_a_gpu_scales_with_the_batch():
    found = training.choose_settings(arrays(), accelerator=True, size=32, batch_size=128)
    assert found.learning_rate == pytest.approx(0.05 * 128 / 256)
    assert training.choose_settings(arrays(), accelerator=False).learning_rate == 0.05


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"method": "dino"}, "`method`"),
        ({"network": "vit"}, "`network`"),
        ({"epochs": 0}, "`epochs`"),
        ({"learning_rate": -1.0}, "`learning_rate`"),
        ({"temperature": 1}, "Settings must .*Received: .*temperature"),
    ],
)
def test_wrong_settings_are_named_in_the_error(given, word):
    with pytest.raises(ValueError, match=word):
        training.choose_settings(arrays(), **given)


def test_too_few_images_are_rejected():
    with pytest.raises(ValueError, match=r"`source` must .*Received: 7 images"):
        training.choose_settings(arrays(7))


@pytest.mark.every_backend
@pytest.mark.parametrize("method", ["isd", "moco", "byol", "msf"])
def test_every_method_trains_and_is_loaded(tmp_path, method):
    source = arrays()
    model = train(source, tmp_path, training.choose_settings(source, method=method, **SMALL))
    loaded, view = training.load_run(tmp_path)
    assert type(loaded) is type(model)
    views = view(images(5))
    np.testing.assert_allclose(
        loaded.predict(views, verbose=0), model.predict(views, verbose=0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("without_tensorflow", [False, True])
def test_a_run_has_several_views_of_an_image(tmp_path, monkeypatch, without_tensorflow):
    monkeypatch.setattr(run, "makes_views_in_step", lambda: without_tensorflow)
    source = arrays()
    settings = training.choose_settings(source, **SMALL, query_views=2, small_views=3)
    model = train(source, tmp_path, settings)
    assert (model.query_views, model.small_views) == (2, 3)
    written = json.loads((tmp_path / "run.json").read_text())["settings"]
    assert (written["query_views"], written["small_views"]) == (2, 3)
    with open(tmp_path / "metrics.csv", newline="") as file:
        assert all(math.isfinite(float(line["loss"])) for line in csv.DictReader(file))
    loaded, view = training.load_run(tmp_path)
    np.testing.assert_allclose(
        loaded.predict(view(images(5)), verbose=0),
        model.predict(view(images(5)), verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_images_of_many_channels_and_16_bits_have_their_own_statistics(tmp_path):
    source = arrays(channels=5, dtype="uint16")
    train(source, tmp_path, training.choose_settings(source, **{**SMALL, "epochs": 1}))
    view = json.loads((tmp_path / "view.json").read_text())
    assert len(view["mean"]) == 5
    assert view["value_range"][1] > 3000
    model, view = training.load_run(tmp_path)
    assert model.predict(view(images(3, channels=5, dtype="uint16")), verbose=0).shape == (3, 128)


@pytest.mark.parametrize("without_tensorflow", [False, True])
def test_a_student_learns_from_the_features_of_a_frozen_teacher(
    tmp_path, monkeypatch, without_tensorflow
):
    monkeypatch.setattr(run, "makes_views_in_step", lambda: without_tensorflow)
    source = arrays()
    np.save(tmp_path / "seen.npy", np.random.RandomState(0).randn(40, 6).astype("float32"))
    settings = training.choose_settings(source, method="distillation", **SMALL)
    with pytest.raises(ValueError, match=r"`teacher`.*teacher=None"):
        train(source, tmp_path / "run", settings)
    model = train(source, tmp_path / "run", settings, teacher=tmp_path / "seen.npy")
    assert isinstance(model, keras_isd.DistillationModel)


@pytest.mark.every_backend
def test_without_tensorflow_views_are_made_in_the_step(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "makes_views_in_step", lambda: True)
    source = arrays()
    model = train(source, tmp_path, training.choose_settings(source, **SMALL))
    assert model.query_augmenter is not None
    assert training.load_run(tmp_path)[0].predict(images(2, 12) / 255, verbose=0).shape == (2, 128)


def test_labels_do_not_change_the_training(tmp_path):
    labels = np.arange(40) % 2
    plain, labelled = arrays(), arrays(labels=labels)
    settings = training.choose_settings(plain, **SMALL)
    one = train(plain, tmp_path / "one", settings)
    other = train(labelled, tmp_path / "other", settings, minutes=math.inf)  # some steps are timed
    for a, b in zip(one.student_backbone.get_weights(), other.student_backbone.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert "knn_student" in (tmp_path / "other" / "metrics.csv").read_text()


@pytest.mark.one_backend("the number of epochs depends only on times")
def test_the_number_of_epochs_fits_into_the_time():
    settings = training.choose_settings(arrays(48), **{**SMALL, "epochs": 100})
    lines = []
    timing = (10.0, 12.0)  # 1 s a step
    found = progress.epochs_that_fit(settings, timing, 4, 100.0, lines.append)
    # 2 x 10 and 12 of the 100 s are spent; an epoch of 4 steps takes 4.4.
    assert found.epochs == 15
    assert "12 images/s" in lines[0]
    assert progress.epochs_that_fit(settings, timing, 4, math.inf, lines.append) == settings
    with pytest.raises(ValueError, match=r"`minutes`.*minutes=0\.5"):
        progress.epochs_that_fit(settings, timing, 4, 30.0, lines.append)


def run_epochs(durations, epochs=10, end=100.0, steps=4, compilation=0):
    """The schedule's epoch of each epoch that a `TimeLimit` lets run, and its callback."""
    clock, lines = [0.0], []
    limit = progress.TimeLimit(end, lines.append)
    limit.set_params({"epochs": epochs, "steps": steps})
    optimizer = types.SimpleNamespace(iterations=keras.Variable(0, dtype="int64"))
    limit.set_model(types.SimpleNamespace(optimizer=optimizer, stop_training=False))
    places = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress.time, "monotonic", lambda: clock[0])
        for epoch, duration in zip(range(epochs), durations):
            places.append(int(optimizer.iterations) // steps)
            optimizer.iterations.assign_add(steps)
            for step in range(steps):
                clock[0] += duration / steps + compilation * (epoch == step == 0)
                limit.on_train_batch_end(step)
            limit.on_epoch_end(epoch)
            if limit.model.stop_training:
                break
    return places, limit, lines


@pytest.mark.one_backend("the number of epochs depends only on times")
def test_a_slower_machine_trains_fewer_epochs_to_the_end_of_the_schedule():
    # As planned, also with a first epoch that is compiled.
    places, limit, lines = run_epochs([9] * 10, compilation=10)
    assert places == list(range(10))
    assert (limit.epochs, lines) == (None, [])
    # Twice as slow after four epochs: three more fit, which take every second place or so.
    places, limit, lines = run_epochs([10] * 4 + [20] * 6)
    assert places[:5] == [0, 1, 2, 3, 4]
    assert places[-1] == 9
    assert places == sorted(places)
    assert limit.epochs == len(places) == 7
    assert "slower than measured" in lines[0]
    # So slow that nothing fits any more: the run can be resumed.
    places, limit, lines = run_epochs([10, 10, 75, 75])
    assert (places, limit.epochs) == ([0, 1, 2], None)
    assert "7 epochs before the end of the schedule" in lines[-1]
    # The first epoch is a forecast, too: a second one of 60 seconds does not fit.
    assert run_epochs([60, 60], epochs=2)[0] == [0]
    # The last epoch runs if nine tenths of it fit.
    assert run_epochs([34, 34, 34], epochs=3)[0] == [0, 1, 2]
    assert run_epochs([500] * 3, end=math.inf, epochs=3)[0] == [0, 1, 2]


@pytest.mark.every_backend
def test_a_run_that_a_time_limit_shortens_is_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "time_steps", lambda model, batches: (0.0, 1e-6))
    monkeypatch.setattr(progress.TimeLimit, "_fitting_epochs", lambda self: 3 - len(self._ends))
    source = arrays(48)
    settings = training.choose_settings(source, **{**SMALL, "epochs": 9})
    model = train(source, tmp_path, settings, minutes=60)
    assert len(read_rows(tmp_path / "metrics.csv")) == 3
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["epochs"] == 3
    # Three of nine epochs of three steps, and the schedule is at its end.
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations.value)) == 9 * 3
    lines = []
    again = make_run(source, tmp_path, settings, minutes=60, log_fn=lines.append)
    again.train()
    assert "The run is finished." in lines
    assert len(read_rows(tmp_path / "metrics.csv")) == 3


def test_the_views_of_some_images_are_drawn(tmp_path):
    source = arrays()
    settings = training.choose_settings(source, **{**SMALL, "epochs": 1})
    make_run(source, tmp_path, settings, plot_views=True).train()
    assert PIL.Image.open(tmp_path / "views.jpg").size[0] > 500


def test_a_run_with_a_time_limit_resumes_with_the_measured_epochs(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "time_steps", lambda model, batches: (1.0, 12.0))
    source = arrays(48)
    settings = training.choose_settings(source, **{**SMALL, "epochs": 100})
    train(source, tmp_path, settings, minutes=0.42)
    epochs = json.loads((tmp_path / "run.json").read_text())["settings"]["epochs"]
    assert epochs < 3
    monkeypatch.setattr(run, "time_steps", None)  # no second measurement
    train(source, tmp_path, settings, minutes=0.42)
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 1 + epochs


def test_a_folder_without_a_finished_run_is_rejected(tmp_path):
    with pytest.raises(ValueError, match=r"`folder` must be that of a finished run.*Received: "):
        training.load_run(tmp_path)


def interrupt_in_the_third_epoch(callback, epoch, logs=None):
    if epoch == 2:
        raise KeyboardInterrupt


def test_metrics_are_in_their_columns_after_resuming_too(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "REPORTS_PER_RUN", 1)  # the first and the last of four epochs
    source = arrays(labels=np.arange(40) % 2)
    settings = training.choose_settings(source, **{**SMALL, "epochs": 4})
    train(source, tmp_path / "whole", settings)
    with monkeypatch.context() as patch:
        patch.setattr(progress.ProgressLine, "on_epoch_end", interrupt_in_the_third_epoch)
        with pytest.raises(KeyboardInterrupt):
            train(source, tmp_path / "part", settings)
    assert len(read_rows(tmp_path / "part" / "metrics.csv")) == 3  # with checkpoints of two
    train(source, tmp_path / "part", settings)
    whole, part = (read_rows(tmp_path / name / "metrics.csv") for name in ("whole", "part"))
    assert part == whole
    assert [bool(row["view_retrieval"]) for row in whole] == [True, False, False, True]
    assert [bool(row["knn_student"]) for row in whole] == [True, False, False, True]


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_new_run_ignores_the_settings_of_one_without_a_checkpoint(tmp_path):
    source = arrays()
    settings = training.choose_settings(source, **SMALL)
    (tmp_path / "view.json").write_text(json.dumps({"size": 99, "mean": [], "std": []}))
    train(source, tmp_path, settings)
    _, view = training.load_run(tmp_path)
    assert view(images(2)).shape == (2, 12, 12, 3)


def test_epochs_measured_with_another_network_are_measured_again(tmp_path):
    source = arrays(48)
    settings = training.choose_settings(source, **SMALL)
    resume = keras_isd.callbacks.Resume(tmp_path / "checkpoints")
    run_folder.record(make_run(source, tmp_path, settings, minutes=60.0), resume, True)
    other = dataclasses.replace(settings, network="resnet18", epochs=50)
    asked = dataclasses.replace(settings, epochs=50)
    for given, minutes, expected in (
        (other, 60.0, (other, False)),
        (asked, 30.0, (asked, False)),
        (asked, 60.0, (settings, True)),
    ):
        new_run = make_run(source, tmp_path, given, minutes=minutes)
        assert run_folder.with_measured_epochs(new_run) == expected


def test_the_same_number_of_other_images_is_another_run(tmp_path):
    settings = training.choose_settings(arrays(), **SMALL)
    train(arrays(), tmp_path, settings)
    with pytest.raises(ValueError, match="fingerprint"):
        train(arrays(seed=1), tmp_path, settings)


@pytest.mark.parametrize(
    ("minutes", "expected"), [(1, 45), (3, 135), (8, 432), (60, 3240), (math.inf, math.inf)]
)
def test_a_part_of_a_time_limit_is_left_for_the_report(minutes, expected):
    assert run.training_seconds(minutes) == expected


def test_whole_groups_are_held_out_if_there_are_enough():
    order = np.random.RandomState(0).permutation(200)
    groups = np.arange(200) % 20
    rows = run._whole_groups(groups, order, 20)
    first = list(dict.fromkeys(groups[order].tolist()))[:2]
    assert sorted(rows) == np.flatnonzero(np.isin(groups, first)).tolist()
    few, large = np.arange(200) % 4, np.minimum(np.arange(200) // 2, 9)
    for others in (None, few):
        np.testing.assert_array_equal(run._whole_groups(others, order, 20), order[:20])
    # The group of 182 images is too large to be held out; of the others, all of two are.
    rows = run._whole_groups(large, order, 20)
    assert len(rows) == 18
    assert 9 not in large[rows]


def test_features_of_a_teacher_begin_anew_if_the_images_have_changed(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    for number, pixels in enumerate(images()):
        PIL.Image.fromarray(pixels).save(tmp_path / f"images/{number:02}.png")
    keras_isd.backbones.ConvNet((16, 16, 3), (4,)).save(tmp_path / "teacher.keras")
    given = {"teacher": str(tmp_path / "teacher.keras"), "teacher_size": 16}
    feature_file = keras_isd.evaluation.feature_file
    monkeypatch.setattr(feature_file, "PIECE_IMAGES", 30)
    source = data.from_folder(tmp_path / "images")
    settings = training.choose_settings(source, method="distillation", **SMALL)
    with monkeypatch.context() as patch:
        compute = functools.partial(run.cache_features, batch_size=8)
        patch.setattr(run, "cache_features", compute)
        InterruptedFeatures(patch, [4])  # after a note of the first 32 images
        with pytest.raises(KeyboardInterrupt):
            train(source, tmp_path / "run", settings, **given)
    (tmp_path / "images/39.png").rename(tmp_path / "images/09b.png")
    for name in ("run", "whole"):
        train(data.from_folder(tmp_path / "images"), tmp_path / name, settings, **given)
    found, expected = (
        np.load(tmp_path / name / "teacher_features.npy") for name in ("run", "whole")
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_process_at_a_time_trains_in_a_folder(tmp_path):
    settings = training.choose_settings(arrays(), **SMALL)
    tmp_path.joinpath("run").mkdir()
    with (
        keras_isd.files.lock(tmp_path / "run" / "run"),
        pytest.raises(BlockingIOError, match="Another process is writing"),
    ):
        train(arrays(), tmp_path / "run", settings)
    assert not (tmp_path / "run" / "run.json").exists()


def test_held_out_images_are_trained_on_only_with_a_teacher(tmp_path):
    source = arrays(labels=np.arange(40) % 2)
    np.save(tmp_path / "seen.npy", np.ones((40, 6), "float32"))
    for method, teacher, count in (("isd", None, 36), ("distillation", tmp_path / "seen.npy", 40)):
        settings = training.choose_settings(source, method=method, **{**SMALL, "epochs": 1})
        one = make_run(source, tmp_path / method, settings, teacher=teacher)
        one.train()
        assert len(one.training) == count
        assert (len(one.held_out), len(one.others)) == (4, 36)


def test_one_image_per_class_trains_without_an_accuracy(tmp_path):
    source = arrays(labels=np.arange(40))
    train(source, tmp_path, training.choose_settings(source, **{**SMALL, "epochs": 1}))
    assert "knn_student" not in (tmp_path / "metrics.csv").read_text()


@pytest.mark.one_backend("the numbers in the tables are tested elsewhere")
def test_the_report_compares_the_student_with_pixels_an_untrained_network_and_chance(tmp_path):
    pytest.importorskip("bokeh", reason="Bokeh draws the map")
    colors = np.arange(60) % 3
    pixels = (images(60) // 8 + 200 * np.eye(3)[colors][:, None, None]).astype("uint8")
    source = data.from_arrays(pixels, colors)
    settings = training.choose_settings(source, **SMALL)
    trained = make_run(source, tmp_path, settings)
    trained.train()
    page = trained.write_report().read_text()
    assert re.search("<p>(The network has learned|This test finds|The features are worse)", page)
    tables = page_tables(page)
    features = tables["Features without labels"]
    simple = ["pixels", "spectrum", "gradients", "colors"]
    assert features[0] == ["", "chance", *simple, "untrained", "student"]
    assert features[1][:2] == ["view_retrieval, 6 images", "16.7%"]
    by_labels = tables["Accuracy (labels were not used in training)"]
    # Wilson's interval of 12 of 12 images
    assert by_labels[1][:3] == ["1-NN", "33.3%", "100.0% [75.8%, 100.0%]"]
    classes = tables["Accuracy by class"]
    assert [row[:2] for row in classes[1:]] == [["0", "4"], ["1", "4"], ["2", "4"]]


def page_tables(page):
    """The cells of the tables of a page, by heading."""
    found = {}
    under = r'<h2>([^<]*)</h2>\s*<div class="wide"><table>(.*?)</table>'
    for heading, table in re.findall(under, page, re.DOTALL):
        rows = re.findall(r"<tr.*?>(.*?)</tr>", table, re.DOTALL)
        found[heading] = [
            [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row)]
            for row in rows
        ]
    return found


@pytest.mark.one_backend("the rule depends only on the labels")
def test_a_single_class_has_no_accuracy():
    networks = {"student": lambda views: views}
    views = np.random.RandomState(0).rand(20, 3)
    assert report.accuracy_tables(networks, views, np.zeros(20, int), None, seed=0) is None
    hits, *_ = report.accuracy_tables(networks, views, np.arange(20) % 2, None, seed=0)
    assert hits["student"].shape == (4,)


@pytest.mark.one_backend("the rows depend only on the labels")
def test_a_fifth_of_each_class_is_classified_and_none_of_rare_classes():
    labels = np.repeat([0, 1, 2], [10, 5, 4])
    rows = report.fifth_of_each_class(labels, seed=0)
    assert labels[rows].tolist() == [0, 0, 1]
