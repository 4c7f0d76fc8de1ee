"""A resized copy of a source's images on disk: written once, checked, resumed."""

import numpy as np
import pytest
from PIL import Image

from keras_isd import data
from tests.support.photographs import photographs

pytestmark = pytest.mark.one_backend("files are written alike under any backend")

SIZES = [(60, 90), (90, 60), (30, 50), (80, 80)]


@pytest.fixture
def source(tmp_path):
    for number, (height, width) in enumerate(SIZES):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photographs()[0][150 : 150 + height, 200 : 200 + width]).save(path)
    return data.from_folder(tmp_path / "images")


def test_the_shorter_side_has_the_requested_size_and_all_else_stays(source, tmp_path):
    small = source.resized(40, tmp_path / "small", verbose=0)
    assert [image.shape[:2] for image in small] == [(40, 60), (30, 50), (60, 40), (40, 40)]
    assert small.names == source.names
    assert small.labels.tolist() == source.labels.tolist()
    assert small.class_names == source.class_names
    whole = Image.fromarray(source[0]).resize((60, 40), Image.Resampling.BILINEAR)
    assert np.abs(small[0].astype("int32") - np.asarray(whole)).mean() < 3  # JPEG's loss
    part = source.subset([3, 1]).resized(40, tmp_path / "part", verbose=0)
    assert [image.shape[:2] for image in part] == [(40, 40), (30, 50)]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_images_of_every_kind_are_copied(tmp_path, channels, dtype):
    images = np.random.default_rng(0).integers(0, 200, (2, 8, 9, channels)).astype(dtype)
    source = data.from_arrays(images, channels=channels)
    copy = source.resized(20, tmp_path / "copy", verbose=0)
    assert (copy.channels, copy.dtype) == (channels, dtype)
    if (channels, dtype) != (3, "uint8"):  # those are JPEG
        np.testing.assert_array_equal(np.stack(list(copy)), images)


def test_another_folder_with_the_same_file_names_needs_its_own_copy(tmp_path, monkeypatch):
    for folder, value in (("train", 10), ("val", 200)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (40, 30), (value,) * 3).save(tmp_path / folder / "1.png")
    small = tmp_path / "small"
    data.from_folder(tmp_path / "train").resized(20, small, verbose=0)
    with pytest.raises(ValueError, match=r"`folder` must .*Received: .*names"):
        data.from_folder(tmp_path / "val").resized(20, small, verbose=0)
    monkeypatch.chdir(tmp_path)
    assert data.from_folder("train").resized(20, small, verbose=0)[0].max() == 10


def test_a_copy_of_other_images_in_memory_is_refused(tmp_path):
    images = np.full((4, 30, 30, 3), 100, "uint8")
    data.from_arrays(images).resized(20, tmp_path / "small", verbose=0)
    with pytest.raises(ValueError, match=r"`folder` must .*Received: .*names"):
        data.from_arrays(images + 1).resized(20, tmp_path / "small", verbose=0)


def test_deep_images_keep_their_depth(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65535, (2, 20, 30, 5)).astype("uint16")
    small = data.from_arrays(deep).resized(64, tmp_path / "same", verbose=0)
    assert (small.channels, small.dtype) == (5, "uint16")
    np.testing.assert_array_equal(np.stack(list(small)), deep)
    plane = Image.fromarray(deep[1, ..., 3].astype("float32")).resize((15, 10), Image.BILINEAR)
    small = data.from_arrays(deep).resized(10, tmp_path / "small", verbose=0)
    np.testing.assert_allclose(small[1][..., 3], np.asarray(plane), atol=0.51)


def test_an_interrupted_copy_resumes_and_writes_no_file_twice(source, tmp_path, monkeypatch):
    folder = tmp_path / "small"
    read = type(source).read_one
    calls = []

    def stopped(self, row):
        calls.append(row)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(self, row)

    monkeypatch.setattr(type(source), "read_one", stopped)
    with pytest.raises(KeyboardInterrupt):
        source.resized(40, folder, verbose=0)
    monkeypatch.setattr(type(source), "read_one", read)
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}
    assert 1 <= len(written) < 4
    assert not any(path.stat().st_size == 0 for path in written)
    small = source.resized(40, folder, verbose=0)
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())
    assert [image.shape[0] for image in small] == [40, 30, 60, 40]


def test_unreadable_files_are_unreadable_in_the_copy(source, tmp_path):
    with open(source.names[1], "wb"):
        pass
    small = source.resized(40, tmp_path / "small", verbose=0)
    assert small.read_one(1)[1] == 2
    [(name, reason)] = small.unreadable()
    assert name == source.names[1]
    assert "No such file" in reason
    Image.new("RGB", (90, 60)).save(source.names[1])  # as if a network disk were available again
    again = data.from_folder(tmp_path / "images").resized(40, tmp_path / "small", verbose=0)
    assert again.read_one(1)[1] == 1
    with open(source.names[1], "wb"):
        pass
    strict = data.from_folder(tmp_path / "images", on_error="raise")
    with pytest.raises(ValueError, match="cannot be read: the file is empty"):
        strict.resized(40, tmp_path / "strict", verbose=0)


def test_the_copy_of_a_replaced_image_is_written_again(source, tmp_path):
    source.resized(40, tmp_path / "small", verbose=0)
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "small").rglob("*.jpg")}
    Image.new("RGB", (90, 60), (200, 200, 200)).save(source.names[1])
    small = data.from_folder(tmp_path / "images").resized(40, tmp_path / "small", verbose=0)
    assert small[1].min() == 200
    assert sum(p.stat().st_mtime_ns != time for p, time in times.items()) == 1


def test_a_folder_with_other_files_is_refused(source, tmp_path):
    source.resized(40, tmp_path / "small", verbose=0)
    with pytest.raises(ValueError, match=r"`folder` must .*Received: .*size"):
        source.resized(50, tmp_path / "small", verbose=0)
    with pytest.raises(ValueError, match=r"`folder` must .*Received: .*images, names"):
        source.subset([0, 1]).resized(40, tmp_path / "small", verbose=0)
    with pytest.raises(ValueError, match=r"`folder` must .*Received: .*images"):
        source.resized(40, tmp_path / "images", verbose=0)
    with pytest.raises(ValueError, match=r"`size` must .*Received: size="):
        source.resized(0, tmp_path / "none", verbose=0)
