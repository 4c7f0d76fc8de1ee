"""Folders: the files that are listed, their classes, and the files that are skipped."""

import os
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_isd import data

pytestmark = pytest.mark.one_backend("files are listed alike under any backend")


def make_files(folder, *names, mode="RGB"):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith((".png", ".jpg")):
            Image.new(mode, (9, 8)).save(folder / name)
        else:
            (folder / name).write_text("")


def list_names(source, folder):
    return [name.removeprefix(f"{folder}/") for name in source.names]


def test_images_at_any_depth_have_the_class_of_their_top_folder(tmp_path):
    make_files(tmp_path, "b/2.png", "a/deep/er/1.png", "a/0.jpg", "empty/notes.txt")
    source = data.from_folder(tmp_path)
    assert list_names(source, tmp_path) == ["a/0.jpg", "a/deep/er/1.png", "b/2.png"]
    assert source.class_names == ["a", "b"]
    assert source.labels.tolist() == [0, 0, 1]


def test_folders_are_not_classes_without_labels(tmp_path):
    make_files(tmp_path, "2023/01/a.png", "2023/02/b.png", "2024/01/c.png")
    source = data.from_folder(tmp_path, labels=None)
    assert len(source) == 3
    assert source.labels is None
    assert source.class_names is None
    make_files(tmp_path, "d.png")
    assert data.from_folder(tmp_path).labels is None
    source = data.from_folder(tmp_path, labels="folder")
    assert list_names(source, tmp_path)[-1] == "d.png"
    assert source.labels.tolist() == [0, 0, 1, -1]


def test_skipped_files_are_counted_by_reason_and_logged_once(tmp_path, caplog):
    folder, outside = tmp_path / "images", tmp_path / "outside"
    make_files(outside, "far.png")
    make_files(
        folder, "a.png", "b.PNG", "notes.txt", "more.txt", "README", ".hidden.png", ".git/x.png"
    )
    (folder / "b.PNG").write_bytes((folder / "a.png").read_bytes())
    (folder / "link.png").symlink_to(outside / "far.png")
    (folder / "linked").symlink_to(outside)
    (folder / "gone.png").symlink_to(outside / "gone.png")
    with caplog.at_level("WARNING", logger="absl"):
        source = data.from_folder(folder)
    assert list_names(source, folder) == ["a.png", "b.PNG"]
    [message] = [record.message for record in caplog.records]
    for reason in (
        "2 .txt files",
        "1 files without an extension",
        "2 links out of the folder (`follow_links=True` follows them)",
        "1 broken links",
    ):
        assert reason in message
    assert "hidden" not in message
    source = data.from_folder(folder, follow_links=True)
    assert list_names(source, folder) == ["a.png", "b.PNG", "link.png", "linked/far.png"]


def test_links_within_a_folder_are_followed_once_and_circles_end(tmp_path, caplog):
    make_files(tmp_path, "a/1.png", ".store/2.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "2.png").symlink_to(tmp_path / "a" / "1.png")
    (tmp_path / "3.png").symlink_to(tmp_path / ".store" / "2.png")  # as git-annex stores files
    with caplog.at_level("WARNING", logger="absl"):
        source = data.from_folder(tmp_path, labels=None)
    assert list_names(source, tmp_path) == ["3.png", "a/1.png"]
    assert "3 links to files or folders listed elsewhere" in caplog.text


def test_files_whose_names_no_table_could_hold_are_left_out_with_a_warning(tmp_path, caplog):
    make_files(tmp_path, "a.png", "b.png", "ü/c.png", "d/e.png")
    os.rename(tmp_path / "a.png", os.fsencode(tmp_path) + b"/\xe4.png")
    os.rename(tmp_path / "d", os.fsencode(tmp_path) + b"/\xf6")
    with caplog.at_level("WARNING", logger="absl"):
        source = data.from_folder(tmp_path)
    assert list_names(source, tmp_path) == ["b.png", "ü/c.png"]
    assert "2 names that are not UTF-8" in caplog.text


@pytest.mark.parametrize("kind", ["missing", "empty", "none", "splits"])
def test_folders_without_images_or_of_several_splits_are_refused(tmp_path, kind):
    folder = tmp_path / "images"
    if kind != "missing":
        folder.mkdir()
    if kind == "none":
        make_files(folder, "a.txt", "b.txt", "c.raw")
    if kind == "splits":
        make_files(folder, "train/cat/1.png", "val/cat/2.png")
    message = {
        "missing": "`directory` must .*Received: ",
        "empty": "`directory` must hold image files",
        "none": r"must hold image files .* with 2 \.txt files, 1 \.raw files",
        "splits": r"`split` must name .* split=None, .* with train, val",
    }[kind]
    with pytest.raises(ValueError, match=message):
        data.from_folder(folder)


def test_other_extensions_are_listed_on_request(tmp_path):
    make_files(tmp_path, "a.png", "b.raw")
    (tmp_path / "b.raw").write_bytes(bytes(range(6)))
    decode = lambda contents: np.frombuffer(contents, "uint8").reshape(2, 3)  # noqa: E731
    source = data.from_folder(tmp_path, extensions=[".RAW"], decode=decode, channels=1)
    assert list_names(source, tmp_path) == ["b.raw"]
    assert source[0][..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_split_without_a_class_has_the_labels_of_the_other_split(tmp_path):
    for name in ("train/ant", "train/bee", "train/cow", "val/bee", "val/cow"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (9, 8)).save(tmp_path / name / "1.png")
    train = data.from_folder(tmp_path, "train")
    val = data.from_folder(tmp_path, "val", class_names=train.class_names)
    assert val.class_names == ["ant", "bee", "cow"]
    assert val.labels.tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"`class_names` must have all.*without \['cow'\]"):
        data.from_folder(tmp_path, "val", class_names=["ant", "bee"])


def test_labels_may_be_names_with_missing_values_as_in_pandas(tmp_path):
    make_files(tmp_path, "1.png", "2.png", "3.png", "4.png")
    paths = sorted(tmp_path.glob("*.png"))
    labels = np.array(["dog", None, "cat", float("nan")], dtype=object)
    source = data.from_paths(paths, labels)
    assert source.class_names == ["cat", "dog"]
    assert source.labels.tolist() == [1, -1, 0, -1]


def test_a_single_extension_is_accepted_as_a_string(tmp_path):
    make_files(tmp_path, "1.png", "2.jpg", "notes.fpng")
    assert list_names(data.from_folder(tmp_path, extensions=".jpg"), tmp_path) == ["2.jpg"]


def test_errors_of_remote_storage_make_a_file_unreadable(monkeypatch):
    fsspec = pytest.importorskip("fsspec")

    def fails(url):
        raise RuntimeError("503 slow down")

    monkeypatch.setattr(fsspec.core, "url_to_fs", fails)
    source = data.from_paths(["memory://a.png", "memory://b.png"])
    with pytest.raises(ValueError, match=r"None of 2 images can be read.*503 slow down"):
        source[0]


def bucket(scheme, folder):
    """Makes a folder's files available as a bucket of fsspec, or of `gs://` through `epath`."""
    system = pytest.importorskip("fsspec").filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file():
            system.pipe(f"/bucket/images/{path.relative_to(folder)}", path.read_bytes())
    return f"{scheme}bucket/images"


@pytest.mark.parametrize("scheme", ["memory://", "gs://"])
def test_a_folder_may_be_remote(tmp_path, scheme, monkeypatch):
    make_files(tmp_path, "a/1.png", "a/.hidden/3.png", "b/2.jpg", "b/notes.txt")
    url = bucket(scheme, tmp_path)
    if scheme == "gs://":
        epath = pytest.importorskip("etils.epath")
        local = lambda path: pathlib.Path(path.replace(url, str(tmp_path)))  # noqa: E731
        monkeypatch.setattr(epath, "Path", local)
    source = data.from_folder(url)
    assert source.names == [f"{url}/a/1.png", f"{url}/b/2.jpg"]
    assert source.class_names == ["a", "b"]
    assert source[0].shape == (8, 9, 3)
    if scheme == "memory://":  # TensorFlow does not know this scheme, so Python reads it
        pytest.importorskip("tensorflow", reason="TensorFlow reads the pipeline's files")
        assert len(list(source.dataset())) == 2
        assert source.unreadable() == []


def test_a_table_names_files_and_labels(tmp_path):
    make_files(tmp_path, "x/1.png", "2.png", "3.png")
    table = tmp_path / "table.csv"
    table.write_text("file,kind\n2.png,dog\nx/1.png,\n3.png,ant\n", encoding="utf-8-sig")
    source = data.from_csv(table, path="file", label="kind")
    assert list_names(source, tmp_path) == ["2.png", "x/1.png", "3.png"]
    assert source.class_names == ["ant", "dog"]
    assert source.labels.tolist() == [1, -1, 0]
    assert data.from_csv(table, path="file", label=None).labels is None
    as_excel = tmp_path / "semicolons.csv"
    as_excel.write_text(table.read_text().replace(",", ";"))
    assert data.from_csv(as_excel, path="file", label="kind").names == source.names
    with pytest.raises(ValueError, match=r"`path` and `label` must .* Received: \['path'\]"):
        data.from_csv(table, label="kind")
    with pytest.raises(ValueError, match=r"`class_names` must .*Received: .*\['dog'\]"):
        data.from_csv(table, path="file", label="kind", class_names=["ant"])
    table.write_text("file,kind\n2.png,dog\n,cat\n")
    with pytest.raises(ValueError, match=r"`file` must .*Received: line 3"):
        data.from_csv(table, path="file", label="kind")
    with pytest.raises(ValueError, match=r"`paths` and `labels` must .* 2 paths, 1 labels"):
        data.from_paths(["a", "b"], labels=[1])


names = st.lists(
    st.text("abAB01 ._-", min_size=1, max_size=6).filter(lambda name: name[0] != "."), max_size=3
)


@settings(max_examples=30, deadline=None)
@given(st.lists(names, min_size=1, max_size=8), st.randoms())
def test_every_image_is_listed_once_in_an_order_independent_of_the_disk(
    tmp_path_factory, parts, random
):
    folder = tmp_path_factory.mktemp("images")
    expected = {"/".join([*(f"{part}+" for part in path), "image.png"]) for path in parts}
    for name in random.sample(sorted(expected), len(expected)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(folder / name)
    source = data.from_folder(folder, labels=None)
    assert list_names(source, folder) == sorted(expected, key=lambda path: path.split("/"))
