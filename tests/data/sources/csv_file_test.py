"""Tables are read as spreadsheets write them, and their paths and labels are checked."""

import numpy as np
import pytest
from PIL import Image

from keras_isd import data

pytestmark = pytest.mark.one_backend("tables are read without a backend")


@pytest.fixture
def folder(tmp_path):
    for name in ("1.png", "2.png"):
        Image.new("RGB", (9, 8)).save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_delimiters_of_spreadsheets_are_read(folder, encoding, delimiter):
    lines = ["path,label", "1.png,größe", "2.png,"]
    text = "\r\n".join(line.replace(",", delimiter) for line in lines)
    (folder / "t.csv").write_bytes(text.encode(encoding))
    source = data.from_csv(folder / "t.csv")
    assert (source.class_names, source.labels.tolist()) == (["größe"], [0, -1])


def test_another_encoding_is_refused_with_the_file(folder):
    (folder / "t.csv").write_bytes("path,label\n1.png,größe\n".encode("cp1252"))
    with pytest.raises(ValueError, match=r"in UTF-8 or UTF-16.*Received: .*t\.csv.*line 2"):
        data.from_csv(folder / "t.csv")


def test_spaces_around_labels_do_not_make_classes(folder):
    (folder / "t.csv").write_text("path,label\n1.png,cat \n2.png, \n")
    source = data.from_csv(folder / "t.csv")
    assert (source.class_names, source.labels.tolist()) == (["cat"], [0, -1])


def test_an_image_with_two_labels_is_refused(folder):
    (folder / "t.csv").write_text("path,label\n1.png,cat\n2.png,cat\n./1.png,dog\n")
    with pytest.raises(ValueError, match=r"one label for each path.*1\.png.*'cat' and 'dog'"):
        data.from_csv(folder / "t.csv")
    assert len(data.from_csv(folder / "t.csv", label=None)) == 3


def test_names_with_a_scheme_are_not_relative_to_the_table(folder):
    pytest.importorskip("fsspec", reason="reads remote files")
    (folder / "t.csv").write_text(f"path\nfile://{folder}/1.png\n2.png\n")
    source = data.from_csv(folder / "t.csv", label=None)
    assert source.names == [f"file://{folder}/1.png", str(folder / "2.png")]
    assert np.stack([*source]).shape == (2, 8, 9, 3)
