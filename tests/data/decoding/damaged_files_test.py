"""Damaged files: each one is read or reported as unreadable, and none stops the others."""

import io
import os
import random
import warnings

import numpy as np
import pytest
from PIL import Image

from keras_isd import data
from keras_isd.data.decoding.decoder import Decoder
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.sources import contents
from tests.data.decoding.formats_test import (
    COLORS,
    EIGHT_BITS,
    KINDS,
    archive,
    kind,
    make_small_photographs,
    numpy_file,
    saved,
    tiff,
)

pytestmark = pytest.mark.one_backend("files are read alike under any backend")

COUNT = 2_000


def damage(contents, others, draw):
    """Damages the contents of a file in one to three ways."""
    contents = bytearray(contents)
    for _ in range(draw.randint(1, 3)):
        kind_of_damage = draw.choice(("flip", "cut", "join", "zero", "move"))
        place = draw.randrange(len(contents)) if contents else 0
        if kind_of_damage == "flip":
            for _ in range(draw.randint(1, 8)):
                # Damage to a header has the largest effect, and most headers are short.
                at = draw.randrange(min(len(contents), draw.choice((64, 512, 10**9))) or 1)
                if contents:
                    contents[at] ^= 1 << draw.randrange(8)
        elif kind_of_damage == "cut":
            contents = contents[:place]
        elif kind_of_damage == "join":
            contents = contents[:place] + draw.choice(others)[draw.randrange(200) :]
        elif kind_of_damage == "zero":
            contents[place : place + 40] = bytes(len(contents[place : place + 40]))
        else:
            contents = contents[place:] + contents[:place]
    return bytes(contents)


def make_samples():
    """Makes small undamaged files of every format."""
    small = [kind(name)[0] for name in KINDS]
    small += [tiff(COLORS[:9, :9], photometric="rgb", compression=c) for c in ("lzw", "deflate")]
    return small + make_small_photographs(24)


@pytest.mark.parametrize("part", range(4))
def test_each_damaged_file_is_read_or_refused_with_a_reason(part):
    draw, whole = random.Random(part), make_samples()
    read, reasons = 0, []
    for number in range(COUNT // 4):
        contents = damage(whole[number % len(whole)], whole, draw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries warn that they read damaged data
            try:
                image = Decoder(3, "float32", convert=True)(contents)
                assert image.ndim == 3
                assert np.isfinite(image).all()
                read += 1
            except UnreadableImageError as error:
                reasons.append(str(error))
    assert read + len(reasons) == COUNT // 4
    assert all(reasons)
    assert read > 20
    assert len(reasons) > 100


def test_a_file_that_is_sparse_a_pipe_or_a_device_is_unreadable(tmp_path):
    Image.new("RGB", (9, 8)).save(tmp_path / "1.png")
    with open(tmp_path / "2.png", "wb") as file:
        file.truncate(300 * 2**30)  # takes no disk
    os.mkfifo(tmp_path / "3.png")
    paths = [*(tmp_path / f"{number}.png" for number in (1, 2, 3)), "/dev/zero"]
    source = data.from_paths(paths)
    assert [source.read_one(row)[1] for row in range(4)] == [0, 0, 0, 0]
    reasons = dict(source.unreadable())
    assert "322,122,547,200 bytes, more than" in reasons[str(paths[1])]
    assert reasons[str(paths[2])] == reasons["/dev/zero"] == "it is not a regular file"
    pytest.importorskip("tensorflow", reason="tf.data reads the files")
    assert sum(1 for _ in source.dataset()) == 1
    assert len(source.unreadable()) == 3


def test_a_file_for_which_memory_lacks_is_unreadable(tmp_path, monkeypatch):
    Image.new("RGB", (9, 8)).save(tmp_path / "1.png")
    source = data.from_paths([tmp_path / "1.png"] * 2)

    def raise_memory_error(path):
        raise MemoryError

    monkeypatch.setattr(contents, "check_file", raise_memory_error)
    with pytest.raises(ValueError, match="more memory than there is"):
        source.read_one(0)


def test_arrays_are_limited_by_their_bytes(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for dtype, numbers in (("uint8", 600), ("uint16", 600), ("float32", 300), ("float64", 150)):
        for write in (numpy_file, lambda array: archive(a=array)):
            array = np.zeros((numbers // 10, 10), dtype)
            assert Decoder().read_stored(write(array)).shape == (*array.shape, 1)
            with pytest.raises(UnreadableImageError, match=f"{numbers + 10} numbers .{dtype}"):
                Decoder().read_stored(write(np.zeros((numbers // 10 + 1, 10), dtype)))


def test_a_jpeg_of_thousands_of_scans_is_unreadable():
    contents = saved(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    scan = contents[contents.rindex(b"\xff\xda") : -2]
    assert Decoder()(contents).shape == (64, 64, 3)
    with pytest.raises(UnreadableImageError, match="more than 100 scans"):
        Decoder()(contents[:-2] + scan * 3000 + contents[-2:])


@pytest.mark.parametrize("count", [2, 5000])
def test_deflated_dicom_is_refused_wherever_its_syntax_stands(count):
    pydicom = pytest.importorskip("pydicom", reason="the extra [dicom]")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.FileMetaInformationVersion = b"\0\1" * (count // 2)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.PatientComments = "a" * 1000
    contents = io.BytesIO()
    pydicom.dcmwrite(contents, dataset, enforce_file_format=True)
    with pytest.raises(UnreadableImageError, match="deflated transfer syntax"):
        Decoder().read_stored(contents.getvalue())


@pytest.mark.slow
def test_a_folder_of_damaged_photographs_is_read_completely(tmp_path):
    pytest.importorskip("tensorflow", reason="TensorFlow reads first, and Python the rest")
    draw, whole = random.Random(7), list(EIGHT_BITS.values())
    for number in range(200):
        contents = damage(whole[number % len(whole)], whole, draw)
        (tmp_path / f"{number:03}.jpg").write_bytes(contents)
    source = data.from_folder(tmp_path, channels=3, dtype="uint8")
    read = sum(1 for _ in source.dataset())
    unreadable = source.unreadable()
    assert read + len(unreadable) == 200
    assert min(read, len(unreadable)) > 20
