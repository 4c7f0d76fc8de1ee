"""Tables of features: their metadata, corrections, and new images among old ones."""

import contextlib
import csv
import io
import json
import os
import re
import types

import numpy as np
import pytest
from PIL import Image

import keras_isd
from keras_isd.command.images import read_images
from keras_isd.command.main import main
from keras_isd.command.neighbors import _find_row, _in_words
from keras_isd.command.tables import write_table
from keras_isd.compat.progress_bar import progress_bar
from tests.support.interrupts import InterruptedFeatures

pytestmark = pytest.mark.one_backend("tables are the same under any backend")


def command(*arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = main([*map(str, arguments)])
    return status, output.getvalue()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A file of an untrained network for images of 8 pixels."""
    path = tmp_path_factory.mktemp("network") / "network.keras"
    keras_isd.backbones.ConvNet((8, 8, 3), (8,)).save(path)
    return path


def make_plates(folder, plates=("plate1", "plate2"), count=24, brightness=60):
    """Images of two kinds in every plate; the second plate is brighter."""
    random = np.random.RandomState(0)
    for number, plate in enumerate(plates):
        for index in range(count):
            kind = "dark" if index % 2 else "striped"
            pixels = random.randint(0, 40, (10, 10, 3)) + brightness * number
            if index % 2 == 0:
                pixels[::2] += 80
            place = folder / plate / kind
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype("uint8")).save(place / f"{index:02}.png")
    return folder


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def embed(images, network, output, *options):
    status, printed = command(
        "embed", images, f"--model={network}", "--size=8", f"--output={output}", *options
    )
    assert status == 0, printed
    return printed


def test_a_table_remembers_model_classes_and_folder(tmp_path, network):
    images = make_plates(tmp_path / "images", ["cats", "dogs"])
    embed(images, network, tmp_path / "f.npz")
    found = keras_isd.evaluation.load_features(tmp_path / "f.npz")
    assert found.class_names == ["cats", "dogs"]
    assert found.names[0] == str(images / "cats/dark/01.png")
    assert len(found.facts["model"]) == 16
    images.rename(tmp_path / "moved")
    output = tmp_path / "explore.html"
    line = ["explore", tmp_path / "f.npz", f"--output={output}", "--method=pca", "--clusters=2"]
    assert command(*line)[0] == 1  # no image can be read
    status, printed = command(*line, f"--root={tmp_path / 'moved'}", "--local_outliers")
    assert status == 0, printed
    page = output.read_text()
    assert '"names":["cats","dogs"]' in page
    # New images need not be in folders of the same classes.
    embed(tmp_path / "moved" / "cats", network, tmp_path / "n.npz", "--labels=none")
    line = ["neighbors", tmp_path / "n.npz", f"--in={tmp_path / 'f.npz'}", "--no-picture"]
    assert command(*line, f"--output={tmp_path / 'n.csv'}")[0] == 0
    assert "Unusual places</h2>" in page


def test_the_fingerprint_depends_on_weights_and_view(network):
    model = keras_isd.backbones.ConvNet((8, 8, 3), (8,))
    other = keras_isd.backbones.ConvNet((8, 8, 3), (8,))
    views = [keras_isd.augmentation.evaluation(size) for size in (8, 16)]
    fingerprint = keras_isd.data.fingerprint.model_fingerprint
    found = {fingerprint(m, view) for m in (model, other) for view in views}
    assert len(found) == 4
    other.set_weights(model.get_weights())
    assert fingerprint(other, views[0]) == fingerprint(model, views[0])


def test_a_correction_removes_the_plates_and_is_recorded(tmp_path, network):
    images = make_plates(tmp_path / "images")
    options = ["--group=plate*", "--labels=none"]
    printed = embed(images, network, tmp_path / "f.npz", *options, "--correct")
    before, after, chance = map(float, re.findall(r"(\d+\.\d)%", printed))
    assert before > after
    assert chance == pytest.approx(100 * 23 / 47, abs=0.1)
    found = keras_isd.evaluation.load_features(tmp_path / "f.npz")
    assert found.facts["correction"].startswith("spherize, 2 groups, controls all, ")
    plain = tmp_path / "plain.npz"
    embed(images, network, plain, *options)
    raw = keras_isd.evaluation.load_features(plain)
    groups = [name.split("/")[-3] for name in raw.names]
    expected = keras_isd.evaluation.spherize(raw.features, groups)
    np.testing.assert_allclose(found.features, expected, atol=1e-4)
    status, printed = command("neighbors", plain, f"--in={tmp_path / 'f.npz'}", "--no-picture")
    assert status == 1
    assert "correction unknown and spherize" in printed


def test_controls_are_checked_before_features_are_computed(tmp_path, network):
    images = make_plates(tmp_path / "images")
    line = ["embed", images, f"--model={network}", "--size=8", f"--output={tmp_path / 'f.npz'}"]
    grouped = [*line, "--group=plate*"]
    assert command(*line, "--controls=*dark*")[0] == 2
    assert command(*line, "--correct", "--labels=folder")[0] == 2  # without groups
    assert command(*grouped, "--correct", "--shard=1/2")[0] == 2
    status, printed = command(*grouped, "--correct", "--controls=*plate1/dark*")
    assert (status, "none in plate2" in printed) == (1, True)
    status, printed = command(*grouped, "--correct", "--controls=*/dark/*")
    assert status == 0, printed
    facts = keras_isd.evaluation.load_features(tmp_path / "f.npz").facts
    assert "controls */dark/*" in facts["correction"]


def test_new_images_are_found_among_old_ones_and_drift_is_said(tmp_path, network):
    old = make_plates(tmp_path / "old")
    embed(old, network, tmp_path / "old.npz")
    for name, brightness, drifts in (("same", 60, False), ("other", 170, True)):
        new = make_plates(tmp_path / name, brightness=brightness)
        embed(new, network, tmp_path / f"{name}.npz")
        output = tmp_path / f"{name}.csv"
        status, printed = command(
            "neighbors", tmp_path / f"{name}.npz", f"--in={tmp_path / 'old.npz'}", "--k=2",
            f"--output={output}", "--no-picture",
        )  # fmt: skip
        assert status == 0, printed
        rows = read(output)
        assert len(rows) == 2 * 48
        assert all(str(new) in row["name"] and str(old) in row["neighbor"] for row in rows)
        assert "of the new images are far from all of" in printed
        share = float(printed.split("%")[0])
        assert (share > 20) == drifts
    assert rows[0]["neighbor"].endswith("png")


def test_similar_similarities_get_more_digits():
    assert _in_words(np.array([[0.9, 0.5, 0.1]]), 2) == [["0.90", "0.50", "0.10"]]
    assert _in_words(np.array([[0.99998, 0.99995, 0.99991]]), 2) == [
        ["0.99998", "0.99995", "0.99991"]
    ]
    assert _in_words(np.array([[1.0]]), 4) == [["1.0000"]]


def test_a_run_remembers_how_its_images_were_read(tmp_path, capsys):
    images = str(make_plates(tmp_path / "images", ["a1", "b2"]))
    run = tmp_path / "run"
    run.mkdir()
    facts = {"reading": {"labels": "none", "group": "[ab]*"}}
    (run / "run.json").write_text(json.dumps(facts))
    given = {"labels": None, "channels": None, "follow_links": False, "group": None}
    given |= dict.fromkeys(["tile", "stride", "keep", "level", "each", "project", "adjacent"])
    given |= dict.fromkeys(["axes", "raw", "every", "dtype", "data_dir"])
    arguments = types.SimpleNamespace(**given, images=images, model=str(run))
    found = read_images(images, arguments)
    assert (found.labels, found.group_names) == (None, ["a1", "b2"])
    arguments.labels, arguments.group = "folder", -1
    found = read_images(images, arguments)
    assert (found.class_names, found.group_names) == (["a1", "b2"], ["dark", "striped"])
    arguments.labels, arguments.group = None, "none"
    assert read_images(images, arguments).groups is None
    # Other images need not have the groups, and labelled ones keep their labels.
    other = str(make_plates(tmp_path / "other", ["cats", "dogs"]))
    arguments.labels = arguments.group = None
    arguments.images = other
    found = read_images(other, arguments, with_labels=True)
    assert (found.class_names, found.groups) == (["cats", "dogs"], None)
    assert "--group=[ab]* does not fit" in capsys.readouterr().out
    # Groups that would be the classes are not used.
    (run / "run.json").write_text(json.dumps({"reading": {"group": 0}}))
    assert read_images(other, arguments, with_labels=True).groups is None
    # A column of a table is a group, too.
    lines = ["path,label,patient"] + [
        f"{p},{p.parent.parent.name},{p.stem}" for p in sorted((tmp_path / "other").rglob("*.png"))
    ]
    table = tmp_path / "images.csv"
    table.write_text("\n".join(lines))
    (run / "run.json").write_text(json.dumps({"reading": {"group": "patient"}}))
    arguments.images = str(table)
    assert len(read_images(str(table), arguments).group_names) == 24


def test_a_log_has_no_progress_bar(capsys, monkeypatch):
    bar = progress_bar(3, "auto")
    bar.update(1)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    progress_bar(3, "auto").update(1)
    assert "1/3" in capsys.readouterr().out


def test_labelled_images_may_be_named_relative_to_their_table(tmp_path):
    names = [str(tmp_path / f"images/{number}.png") for number in range(12)]
    features = np.random.RandomState(0).randn(12, 4)
    table = keras_isd.evaluation.Features(features, None, np.arange(12), names)
    keras_isd.evaluation.save_features(tmp_path / "f.npz", table)
    labelled = tmp_path / "labels.csv"
    labelled.write_text("path,label\nimages/3.png,cat\nimages/5.png,\nimages/7.png,dog\n")
    line = ["select", tmp_path / "f.npz", "--count=2", f"--labelled={labelled}", "--no-picture"]
    output = tmp_path / "more.csv"
    status, printed = command(*line, f"--output={output}")
    assert status == 0, printed
    rows = read(output)
    assert [row["label"] for row in rows] == ["", "", "cat", "dog"]
    assert [row["name"] for row in rows[2:]] == [names[3], names[7]]
    assert not {row["name"] for row in rows[:2]} & {names[3], names[7]}
    labelled.write_text("path,label\nother.png,cat\n")
    status, printed = command(*line, f"--output={output}2.csv")
    assert (status, "such as 'other.png'" in printed) == (1, True)


def count_embedded(monkeypatch):
    """A list that gets the number of images of each call that computes features."""
    counts, compute = [], keras_isd.evaluation.cache_features

    def counted(model, source, *others, **options):
        counts.append(len(source))
        return compute(model, source, *others, **options)

    monkeypatch.setattr(keras_isd.evaluation, "cache_features", counted)
    return counts


def test_an_update_computes_new_and_changed_images_alone(tmp_path, network, monkeypatch):
    images, table = make_plates(tmp_path / "images"), tmp_path / "f.npz"
    counts = count_embedded(monkeypatch)
    embed(images, network, table, "--update")  # without a table, all
    assert "0 images are new or changed, 48 are in" in embed(images, network, table, "--update")
    first, second, third = (
        images / f"plate1/striped/{number}.png" for number in ("00", "02", "04")
    )
    Image.new("RGB", (10, 10), "red").save(first)
    os.rename(second, images / "another.png")  # an old file at a new place
    third.unlink()
    printed = embed(images, network, table, "--update")
    assert (
        "2 images are new or changed, 45 are in the table, and 2 of its images are gone" in printed
    )
    assert counts == [48, 2]
    whole = tmp_path / "whole.npz"
    embed(images, network, whole)
    found, expected = map(keras_isd.evaluation.load_features, (table, whole))
    assert found.names == expected.names
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-5)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert [file.name for file in tmp_path.glob(".*")] == []


def test_a_file_that_an_old_one_replaced_is_embedded_again(tmp_path, network, monkeypatch):
    images, table = make_plates(tmp_path / "images"), tmp_path / "f.npz"
    Image.new("RGB", (10, 10), "red").save(tmp_path / "old.png")
    os.utime(tmp_path / "old.png", (0, 0))
    embed(images, network, table)
    os.replace(tmp_path / "old.png", images / "plate1/dark/01.png")
    counts = count_embedded(monkeypatch)
    embed(images, network, table, "--update")
    assert counts == [1]


def test_an_interrupted_update_leaves_the_table_and_resumes(tmp_path, network, monkeypatch):
    images, table = make_plates(tmp_path / "images"), tmp_path / "f.npz"
    embed(images, network, table)
    before = table.read_bytes()
    make_plates(tmp_path / "images", ["plate3"])
    save = keras_isd.evaluation.save_features
    monkeypatch.setattr(keras_isd.evaluation, "save_features", raise_interrupt)
    line = ["embed", images, f"--model={network}", "--size=8", f"--output={table}", "--update"]
    assert command(*line)[0] == 130
    assert table.read_bytes() == before
    assert len(list(tmp_path.glob(".f.npz.npy"))) == 1
    monkeypatch.setattr(keras_isd.evaluation, "save_features", save)
    assert command(*line)[0] == 0
    assert len(keras_isd.evaluation.load_features(table).names) == 72
    assert list(tmp_path.glob(".f.npz*")) == []


def test_rows_keep_their_images_if_files_change_after_an_interrupt(tmp_path, network, monkeypatch):
    images, table = make_plates(tmp_path / "images"), tmp_path / "f.npz"
    feature_file = keras_isd.evaluation.feature_file
    monkeypatch.setattr(feature_file, "PIECE_IMAGES", 16)
    line = ["embed", images, f"--model={network}", "--size=8", f"--output={table}"]
    line.append("--batch_size=8")
    with monkeypatch.context() as patch:
        InterruptedFeatures(patch, [3])
        assert command(*line)[0] == 130
    (images / "plate1/dark/23.png").rename(images / "plate1/dark/04b.png")
    assert command(*line)[0] == 0
    embed(images, network, tmp_path / "whole.npz")
    found, expected = map(keras_isd.evaluation.load_features, (table, tmp_path / "whole.npz"))
    assert found.names == expected.names
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-5)
    assert list(tmp_path.glob(".f.npz*")) == []


def test_images_whose_features_are_all_zero_are_in_the_table(tmp_path):
    import keras

    pixels = keras.Input((8, 8, 3))
    means = keras.layers.GlobalAveragePooling2D()(pixels)
    keras.Model(pixels, keras.layers.ReLU()(means)).save(tmp_path / "network.keras")
    for name, value in (("black", 0), ("white", 255)):
        Image.new("L", (8, 8), value).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"")
    printed = embed(tmp_path, tmp_path / "network.keras", tmp_path / "f.npz")
    assert "2 images, 3 features each" in printed
    assert "1 could not be read" in printed
    found = keras_isd.evaluation.load_features(tmp_path / "f.npz")
    assert [os.path.basename(name) for name in found.names] == ["black.png", "white.png"]
    assert found.features.any(axis=1).tolist() == [False, True]


def raise_interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_table_of_remote_names_can_be_read_again(tmp_path, network):
    pytest.importorskip("fsspec", reason="reads remote files")
    images = f"file://{make_plates(tmp_path / 'images', count=2)}"
    embed(images, network, tmp_path / "f.npz", "--labels=none")
    names = keras_isd.evaluation.load_features(tmp_path / "f.npz").names
    assert names[0] == f"{images}/plate1/dark/01.png"
    status, printed = command("select", tmp_path / "f.npz", "--count=2", "--no-picture",
        f"--output={tmp_path / 's.csv'}")  # fmt: skip
    assert status == 0, printed
    embed(tmp_path / "s.csv", network, tmp_path / "again.npz", "--labels=none")
    found = keras_isd.evaluation.load_features(tmp_path / "again.npz")
    assert set(found.names) <= set(names)
    assert len(found.names) == 2


@pytest.mark.one_backend("NumPy reads tables")
def test_a_table_of_others_reads_urls_on_request_only(tmp_path, monkeypatch):
    folder, table = make_plates(tmp_path / "images", count=4), tmp_path / "f.npz"
    names = [f"file://{path}" for path in sorted(folder.rglob("*.png"))]
    features = np.random.RandomState(0).rand(8, 3).astype("float32")
    keras_isd.evaluation.save_features(
        table, keras_isd.evaluation.Features(features, None, np.arange(8), names)
    )
    lines = {
        "explore": f"--output={tmp_path / 'page.html'}",
        "duplicates": f"--output={tmp_path / 'd.csv'}",
        "neighbors": f"--output={tmp_path / 'n.csv'}",
    }
    read = keras_isd.data.sources.contents.read_remote
    for name, option in lines.items():
        with monkeypatch.context() as patch:
            patch.setattr(keras_isd.data.sources.contents, "read_remote", raise_interrupt)
            status, printed = command(name, table, option)
        assert (status, "--remote" in printed) == ((0, False) if name == "neighbors" else (1, True))
    assert not (tmp_path / "n.jpg").exists()
    pytest.importorskip("fsspec", reason="reads remote files")
    opened = []
    monkeypatch.setattr(
        keras_isd.data.sources.contents, "read_remote", lambda n: opened.append(n) or read(n)
    )
    assert command("neighbors", table, lines["neighbors"], "--remote")[0] == 0
    assert (tmp_path / "n.jpg").exists()
    assert set(opened) == set(names)


@pytest.mark.one_backend("NumPy writes tables")
def test_cells_that_a_spreadsheet_would_run_are_said(tmp_path, caplog):
    with caplog.at_level("WARNING", logger="absl"):
        write_table(tmp_path / "t.csv", ["name", "score"], [("a=b.png", -1.5), ("b.png", -2)])
        assert not caplog.records
        write_table(tmp_path / "t.csv", ["name", "score"], [("=cmd()", 1.5), ("@x.png", 2)])
    assert "2 cells" in caplog.text
    assert "=cmd()" in caplog.text
    assert [row["name"] for row in read(tmp_path / "t.csv")] == ["=cmd()", "@x.png"]


def test_a_page_names_images_relative_to_their_folder(tmp_path, network):
    images, page = make_plates(tmp_path / "images", count=4), tmp_path / "page.html"
    embed(images, network, tmp_path / "f.npz")
    status, printed = command("explore", tmp_path / "f.npz", f"--output={page}", "--method=pca")
    assert status == 0, printed
    written = page.read_text(encoding="utf-8")
    assert "plate1/dark/01.png" in written
    assert str(tmp_path) not in written


@pytest.mark.one_backend("names are compared")
def test_a_query_names_whole_files_before_ends_of_names():
    arguments = types.SimpleNamespace(fail=lambda text: pytest.fail(text))
    names = ["/a/11.png", "/a/1.png", "/b/21.png"]
    assert [_find_row(names, end, arguments) for end in ("1.png", "a/1.png", "b/21.png")] == [
        1,
        1,
        2,
    ]
    assert _find_row(names, "21.png", arguments) == 2
    with pytest.raises(pytest.fail.Exception, match="the end of 3 names"):
        _find_row(names, "png", arguments)


def test_a_network_file_gets_the_values_that_it_takes(tmp_path):
    import keras

    images = make_plates(tmp_path / "images", count=3)
    pixels = keras.Input((8, 8, 3))
    means = keras.layers.GlobalAveragePooling2D()
    keras.Model(pixels, means(pixels)).save(tmp_path / "plain.keras")
    scaled = keras.layers.Rescaling(1 / 255)(pixels)
    keras.Model(pixels, means(scaled)).save(tmp_path / "scaled.keras")
    printed = embed(images, tmp_path / "plain.keras", tmp_path / "plain.npz")
    assert "--statistics=imagenet" in printed
    printed = embed(images, tmp_path / "scaled.keras", tmp_path / "scaled.npz")
    assert "--statistics=none" in printed
    plain, scaled = (
        keras_isd.evaluation.load_features(tmp_path / f"{name}.npz").features
        for name in ("plain", "scaled")
    )
    mean, std = (np.array(values) for values in keras_isd.augmentation.IMAGENET[:2])
    np.testing.assert_allclose(plain, (scaled - mean) / std, atol=1e-4)


def test_images_of_another_type_than_the_runs_are_refused(tmp_path, monkeypatch):
    for name, dtype in (("deep", "uint16"), ("flat", "uint8")):
        (tmp_path / name).mkdir()
        pixels = np.full((8, 8), 200, dtype)
        for number in range(2):
            Image.fromarray(pixels + number).save(tmp_path / name / f"{number}.png")
    given = ["--size=8", f"--output={tmp_path / 'f.npz'}"]
    for view, images, expected in (
        ({"dtype": "uint16", "value_range": [0, 300]}, "flat", "uint16"),
        ({"value_range": [0, 4095]}, "flat", "uint16"),  # of a run that did not note the type
        ({"value_range": [0, 255]}, "deep", "uint8"),
        ({"dtype": "uint16", "value_range": [0, 300]}, "deep", None),
    ):
        (tmp_path / "view.json").write_text(json.dumps({"mean": [0.5], **view}))
        line = ["embed", tmp_path / images, f"--model={tmp_path}", *given]
        monkeypatch.setattr(keras_isd.training, "load_run", raise_interrupt)
        status, printed = command(*line)
        assert (status, f"the run's images, {expected}" in printed) == (
            (130, False) if expected is None else (1, True)
        )
        if expected is not None:
            assert command(*line, f"--dtype={expected}")[0] == 130


def test_files_of_two_types_are_converted_by_a_flag(tmp_path, network):
    for name, dtype in (("1", "uint8"), ("2", "uint16")):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), 200, dtype)).save(tmp_path / f"images/{name}.png")
    line = ["embed", tmp_path / "images", f"--model={network}", "--size=8"]
    line += [f"--output={tmp_path / 'f.npz'}"]
    status, printed = command(*line)
    assert (status, "--channels and --dtype must be given" in printed) == (1, True)
    assert "`" not in printed
    assert command(*line, "--dtype=uint8")[0] == 0
    status, printed = command(*line, "--dtype=int64")
    assert (status, "--dtype must be one of" in printed) == (1, True)


def test_an_unexpected_error_is_a_sentence_and_a_trace_on_request(tmp_path, network, monkeypatch):
    images = make_plates(tmp_path / "images", count=2)

    def raise_memory_error(*_, **__):
        raise MemoryError

    monkeypatch.setattr(keras_isd.evaluation, "cache_features", raise_memory_error)
    line = ["embed", images, f"--model={network}", "--size=8", f"--output={tmp_path / 'f.npz'}"]
    status, printed = command(*line)
    assert status == 1
    assert f"keras-isd embed: not enough memory, with {images}; KERAS_ISD_DEBUG=1" in printed
    assert "Traceback" not in printed
    monkeypatch.setenv("KERAS_ISD_DEBUG", "1")
    assert "raise MemoryError" in command(*line)[1]


def test_an_update_refuses_the_table_of_another_model(tmp_path, network):
    images, table = make_plates(tmp_path / "images"), tmp_path / "f.npz"
    embed(images, network, table)
    other = tmp_path / "other.keras"
    keras_isd.backbones.ConvNet((8, 8, 3), (8,)).save(other)
    line = ["embed", images, f"--model={other}", "--size=8", f"--output={table}", "--update"]
    status, printed = command(*line)
    assert status == 1
    assert "must be of one model" in printed
    for option in ("--correct", "--shard=1/2"):
        status, printed = command(*line, option)
        assert (status, "must not be given with" in printed) == (2, True)


def test_an_image_that_is_not_in_the_table_finds_its_neighbours(tmp_path, network):
    images, table = make_plates(tmp_path / "images"), tmp_path / "f.npz"
    embed(images, network, table)
    new = tmp_path / "new.png"
    (images / "plate2/striped/04.png").rename(new)  # its row of the table is the nearest
    line = ["neighbors", table, f"--image={new}", "--size=8", "--k=3", "--no-picture"]
    output = tmp_path / "n.csv"
    status, printed = command(*line, f"--model={network}", f"--output={output}")
    assert status == 0, printed
    found = read(output)
    assert len(found) == 3
    assert found[0]["name"] == str(new)
    assert found[0]["neighbor"].endswith("plate2/striped/04.png")
    assert float(found[0]["similarity"]) == pytest.approx(1, abs=1e-4)
    assert float(found[1]["similarity"]) < 1
    status, printed = command(*line)
    assert (status, "--image needs --model" in printed) == (2, True)
    other = tmp_path / "other.keras"
    keras_isd.backbones.ConvNet((8, 8, 3), (8,)).save(other)
    status, printed = command(*line, f"--model={other}", f"--output={output}")
    assert (status, "must be of one model" in printed) == (1, True)
    (tmp_path / "new.png").write_bytes(b"no image")
    status, printed = command(*line, f"--model={network}", f"--output={output}")
    assert (status, "new.png cannot be read" in printed) == (1, True)
