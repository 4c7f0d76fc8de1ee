"""Parquet tables of image files: pixels, labels, groups, row groups in memory and errors."""

import numpy as np
import pytest
from PIL import Image

from keras_isd import data
from keras_isd.data.sources import parquet
from tests.support.sources import check_reading, encode

pa = pytest.importorskip("pyarrow", reason="pyarrow reads Parquet")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow reads Parquet")
pytestmark = [
    pytest.mark.one_backend("reads files with NumPy"),
    pytest.mark.filterwarnings("ignore:.*fork"),
]

IMAGES = np.random.RandomState(0).randint(0, 256, (7, 8, 9, 3)).astype("uint8")


FILES = [encode(image) for image in IMAGES]


@pytest.mark.parametrize("kind", ["bytes", "structures", "large bytes"])
def test_images_of_several_tables_are_read_by_row(kind, tmp_path):
    structures = pa.array([{"bytes": file, "path": None} for file in FILES])
    types = {"bytes": pa.binary(), "large bytes": pa.large_binary()}
    column = structures if kind == "structures" else pa.array(FILES, types[kind])
    for name, part in {"a": slice(0, 5), "b": slice(5, 7)}.items():
        table = pa.table({"image": column[part], "y": [*range(7)][part]})
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=2)
    source = data.from_parquet(tmp_path / "*.parquet", label="y", group="y")
    check_reading(source, list(IMAGES))
    assert source.labels.tolist() == [*range(7)]
    assert source.group_names == list("0123456")
    assert source.names[4:6] == [f"{tmp_path}/a.parquet[4]", f"{tmp_path}/b.parquet[0]"]


def test_labels_may_be_names_or_missing(tmp_path):
    table = {"image": FILES[:3], "kind": ["cat", None, "ant"], "number": [4, None, 0]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    named = data.from_parquet(tmp_path / "a.parquet", label="kind")
    assert (named.labels.tolist(), named.class_names) == ([1, -1, 0], ["ant", "cat"])
    numbered = data.from_parquet(tmp_path / "a.parquet", label="number")
    assert (numbered.labels.tolist(), numbered.class_names) == ([4, -1, 0], None)
    assert data.from_parquet(tmp_path / "a.parquet").labels is None


def test_a_table_of_hugging_face_has_class_names(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets writes the table")
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    table = {"image": [Image.fromarray(image) for image in IMAGES[:3]], "label": [1, 0, -1]}
    dataset = datasets.Dataset.from_dict(table, datasets.Features(kinds))
    dataset.to_parquet(tmp_path / "a.parquet")
    source = data.from_parquet(tmp_path / "a.parquet", label="label")
    assert (source.labels.tolist(), source.class_names) == ([1, 0, -1], ["cat", "dog"])
    np.testing.assert_array_equal(source[1], IMAGES[1])


def test_missing_and_damaged_images_are_named(tmp_path):
    files = [FILES[0], None, FILES[2][:30], FILES[3]]
    pq.write_table(pa.table({"image": files}), tmp_path / "a.parquet")
    source = data.from_parquet(tmp_path / "a.parquet")
    assert source.read_one(1)[1] == 3
    reasons = dict(source.unreadable())
    assert list(reasons) == source.names[1:3]
    assert reasons[source.names[1]].startswith("it is missing")


def test_the_last_row_groups_are_kept_and_only_images_are_read(tmp_path, monkeypatch):
    pq.write_table(
        pa.table({"image": FILES, "other": FILES}), tmp_path / "a.parquet", row_group_size=2
    )
    read, original = [], pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda self, *given: read.append(given) or original(self, *given),
    )
    size = sum(map(len, FILES[:2])) + 100
    images = parquet.ParquetImages([str(tmp_path / "a.parquet")], "image", max_bytes=2 * size)
    for row in (0, 1, 2, 0, 5, 1, 3):
        assert images(row) == FILES[row]
    assert read == [(number, ["image"]) for number in (0, 1, 2, 1)]


def test_large_row_groups_are_mentioned(tmp_path, monkeypatch, caplog):
    pq.write_table(pa.table({"image": FILES}), tmp_path / "a.parquet")
    with caplog.at_level("WARNING"):
        data.from_parquet(tmp_path / "a.parquet")
        assert not caplog.records
        monkeypatch.setattr(parquet, "GIBIBYTE", sum(map(len, FILES)) // 2)
        data.from_parquet(tmp_path / "a.parquet")
    assert "row groups of about 100 images" in caplog.text


def test_bad_arguments_are_named(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": FILES, "y": [*range(7)]}), path)
    with pytest.raises(
        ValueError, match=r"`image` must name a column\. Received: x, and .* image, y"
    ):
        data.from_parquet(path, image="x")
    with pytest.raises(ValueError, match=r"`image` must name a column of bytes.* y of int64"):
        data.from_parquet(path, image="y")
    with pytest.raises(ValueError, match="`label` must name a column"):
        data.from_parquet(path, label="x")
    with pytest.raises(ValueError, match=r"`files` must name existing files\. Received: .*b\*"):
        data.from_parquet([path, tmp_path / "b*"])
    (tmp_path / "c.parquet").write_text("no table")
    with pytest.raises(
        ValueError, match=r"`files` must be Parquet tables\. Received: .*c\.parquet"
    ):
        data.from_parquet(tmp_path / "c.parquet")


def test_columns_of_images_are_recognised(tmp_path):
    features = pa.array([[0.0, 1.0]] * 7)
    pq.write_table(
        pa.table({"name": list("abcdefg"), "features": features}), tmp_path / "f.parquet"
    )
    pq.write_table(pa.table({"name": list("abcdefg"), "jpg": FILES}), tmp_path / "i.parquet")
    assert parquet.find_image_column(tmp_path / "f.parquet") is None
    assert parquet.find_image_column(tmp_path / "i.parquet") == "jpg"


def test_names_of_rows_are_no_paths(tmp_path):
    pq.write_table(pa.table({"image": FILES}), tmp_path / "a.parquet")
    names = data.from_parquet(tmp_path / "a.parquet").names[:2]
    with pytest.raises(
        ValueError, match=r"Received: .*a\.parquet\[0\], a row of a data set.*from_parquet"
    ):
        data.from_paths(names)
