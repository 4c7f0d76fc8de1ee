"""Data sets of Hugging Face: images of every storage, labels, groups, folders and errors."""

import numpy as np
import pytest
from PIL import Image

from keras_isd import data
from keras_isd.data.sources import huggingface
from tests.support.sources import check_reading, encode

datasets = pytest.importorskip("datasets", reason="datasets reads data sets of Hugging Face")
pytestmark = [
    pytest.mark.one_backend("reads files with NumPy"),
    pytest.mark.filterwarnings("ignore:.*fork"),
]

IMAGES = np.random.RandomState(0).randint(0, 256, (5, 8, 9, 3)).astype("uint8")
CLASSES = datasets.ClassLabel(names=["cat", "dog"])


def make(images, kind, **columns):
    features = {"image": kind, "label": CLASSES, "plate": datasets.Value("string")}
    table = {"image": images, "label": [1, 0, -1, 1, 0], "plate": list("pqpqq")} | columns
    return datasets.Dataset.from_dict(table, datasets.Features(features))


def test_images_labels_and_groups_equal_those_that_the_package_reads(tmp_path):
    dataset = make(
        [{"bytes": encode(image, "JPEG"), "path": None} for image in IMAGES], datasets.Image()
    )
    expected = [np.asarray(row["image"]) for row in dataset]
    source = data.from_huggingface(dataset, group="plate")
    assert (source.labels.tolist(), source.class_names) == ([1, 0, -1, 1, 0], ["cat", "dog"])
    assert (source.groups.tolist(), source.group_names) == ([0, 1, 0, 1, 1], ["p", "q"])
    assert source.names is None
    dataset.save_to_disk(tmp_path / "saved")
    check_reading(data.from_huggingface(tmp_path / "saved"), expected)
    # A shuffled part has its own rows.
    part = data.from_huggingface(dataset.select([3, 1]))
    assert part.labels.tolist() == [1, 0]
    np.testing.assert_array_equal(part[0], expected[3])


def test_contents_are_not_decoded(tmp_path, monkeypatch):
    files = [encode(image, "JPEG") for image in IMAGES]
    dataset = make([{"bytes": file, "path": None} for file in files], datasets.Image())
    source = data.from_huggingface(dataset.with_format("numpy"))
    monkeypatch.setattr(datasets.Image, "decode_example", None)
    assert [source._storage.read_bytes(row) for row in range(5)] == files


@pytest.mark.parametrize("kind", ["binary", "string", "image", "array", "transform"])
def test_images_may_be_bytes_paths_arrays_or_made_by_a_transform(kind, tmp_path):
    paths = []
    for row, image in enumerate(IMAGES):
        paths.append(str(tmp_path / f"{row}.png"))
        Image.fromarray(image).save(paths[-1])
    if kind == "array":
        dataset = make(IMAGES, datasets.Array3D((8, 9, 3), "uint8"))
    elif kind == "binary":
        files = [(tmp_path / f"{row}.png").read_bytes() for row in range(5)]
        dataset = make(files, datasets.Value("binary"))
    elif kind == "string":
        dataset = make(paths, datasets.Value("string"))
    else:
        dataset = make(paths, datasets.Image())
    expected = IMAGES
    if kind == "transform":
        flip = lambda rows: {"image": [x.transpose(1) for x in rows["image"]]}  # noqa: E731
        dataset, expected = dataset.with_transform(flip), IMAGES[:, ::-1]
    source = data.from_huggingface(dataset)
    for row in (4, 0, 2):
        np.testing.assert_array_equal(source[row], expected[row])


def test_sixteen_bits_and_one_channel_stay():
    deep = (IMAGES[..., 0] * 200.0).astype("uint16")
    source = data.from_huggingface(
        make([Image.fromarray(x) for x in deep], datasets.Image()), channels=1
    )
    assert (source.channels, source.dtype) == (1, "uint16")
    np.testing.assert_array_equal(source[3][..., 0], deep[3])


def test_missing_and_damaged_images_are_replaced():
    files = [{"bytes": encode(image, "JPEG"), "path": None} for image in IMAGES]
    files[1], files[2]["bytes"] = None, files[2]["bytes"][:40]
    source = data.from_huggingface(make(files, datasets.Image()))
    assert source.read_one(1)[1] == 3
    assert [name for name, _ in source.unreadable()] == ["row 1", "row 2"]


def test_a_split_of_a_named_data_set_is_read(tmp_path, monkeypatch):
    dataset = make([Image.fromarray(image) for image in IMAGES], datasets.Image())
    parts = datasets.DatasetDict(train=dataset.select([0, 1, 2]), test=dataset.select([3, 4]))
    parts.save_to_disk(tmp_path / "parts")
    source = data.from_huggingface(tmp_path / "parts", split="test")
    np.testing.assert_array_equal(source[1], IMAGES[4])
    assert len(source) == 2
    with pytest.raises(
        ValueError, match=r"`split` must be one of train, test\. Received: split=None"
    ):
        data.from_huggingface(tmp_path / "parts")
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: parts[split])
    named = data.from_huggingface("someone/animals", split="test")
    assert named.names[1] == "hf://someone/animals/test[1]"


def test_columns_of_images_and_classes_are_found():
    dataset = make([Image.fromarray(image) for image in IMAGES], datasets.Image())
    assert huggingface.find_columns(dataset) == ("image", "label")
    renamed = dataset.rename_columns({"image": "img", "label": "fine_label"})
    assert huggingface.find_columns(renamed) == ("img", "fine_label")
    assert huggingface.find_columns(dataset.select_columns(["plate"])) == (None, None)


def test_bad_arguments_are_named():
    dataset = make([Image.fromarray(image) for image in IMAGES], datasets.Image())
    with pytest.raises(
        ValueError, match=r"`label` must name a column\. Received: labels, and .*plate"
    ):
        data.from_huggingface(dataset, label="labels")
    with pytest.raises(
        ValueError, match=r"`image` must name a column of images.* label of ClassLabel"
    ):
        data.from_huggingface(dataset, image="label")
    for other in (datasets.DatasetDict(train=dataset), dataset.to_iterable_dataset()):
        with pytest.raises(
            ValueError, match=r"`dataset` must be a .* Received: (DatasetDict|Iterable)"
        ):
            data.from_huggingface(other)
