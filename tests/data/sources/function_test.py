"""Sources from a function: images of every kind, labels, names, groups and errors."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from keras_isd import data
from keras_isd.data.sources.contents import to_contents
from keras_isd.data.sources.function import RowNames
from tests.support.sources import check_reading, encode

pytestmark = [
    pytest.mark.one_backend("reads images with NumPy"),
    pytest.mark.filterwarnings("ignore:.*fork"),
]

IMAGES = np.random.RandomState(0).randint(0, 256, (5, 8, 9, 3)).astype("uint8")


class Reader:
    """A picklable function of a row."""

    def __init__(self, convert):
        self.convert = convert

    def __call__(self, row):
        assert type(row) is int
        return self.convert(IMAGES[row])


@pytest.mark.parametrize(
    "convert", [np.array, encode, Image.fromarray], ids=["array", "file", "PIL"]
)
def test_arrays_files_and_pillow_images_are_read_alike(convert):
    names = [f"image {row}" for row in range(5)]
    check_reading(data.from_function(Reader(convert), 5, names=names), list(IMAGES))


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_more_than_eight_bits_and_other_channels_stay(dtype):
    values = np.random.RandomState(0).randint(0, 30_000, (3, 8, 9, 5)).astype(dtype)
    source = data.from_function(values.__getitem__, 3)
    assert (source.channels, source.dtype) == (5, dtype)
    np.testing.assert_array_equal(source[2], values[2])


def test_a_single_channel_is_repeated_unless_it_is_asked_for():
    read = IMAGES[..., 0].__getitem__
    np.testing.assert_array_equal(data.from_function(read, 5)[1], IMAGES[1, ..., :1].repeat(3, 2))
    np.testing.assert_array_equal(data.from_function(read, 5, channels=1)[1], IMAGES[1, ..., :1])


def test_labels_are_numbers_or_names_and_may_be_missing():
    make = lambda labels, **more: data.from_function(  # noqa: E731
        IMAGES.__getitem__, 5, labels, **more
    )
    assert make([1, 0, -1, 1, 0]).labels.tolist() == [1, 0, -1, 1, 0]
    assert make([1, None, float("nan"), 1, 0]).labels.tolist() == [1, -1, -1, 1, 0]
    named = make(["b", None, "", "a", float("nan")])
    assert (named.labels.tolist(), named.class_names) == ([1, -1, -1, 0, -1], ["a", "b"])
    assert make(["b", "b", "b", "a", "a"], class_names=["b", "a"]).labels.tolist() == [
        0,
        0,
        0,
        1,
        1,
    ]
    assert make(None).labels is None
    with pytest.raises(ValueError, match=r"`class_names` must have all labels\. Received: .*'c'"):
        make(["c"] * 5, class_names=["a"])
    with pytest.raises(ValueError, match="`labels` must lie in"):
        make([-2, 0, 0, 0, 0])


def test_groups_are_names_or_numbers():
    source = data.from_function(IMAGES.__getitem__, 5, groups=["p", "q", "p", "q", "q"])
    assert (source.groups.tolist(), source.group_names) == ([0, 1, 0, 1, 1], ["p", "q"])
    source = data.from_function(
        IMAGES.__getitem__, 5, groups=[0, 1, 1, 0, 0], group_names=["x", "y"]
    )
    assert (source.groups.tolist(), source.group_names) == ([0, 1, 1, 0, 0], ["x", "y"])


class Damaged:
    """Raises an error for row 1, and returns no image for row 2."""

    def __call__(self, row):
        if row == 1:
            raise KeyError("no such record")
        return "no file" if row == 2 else IMAGES[row]


def test_an_image_that_cannot_be_read_is_replaced_and_named():
    source = data.from_function(Damaged(), 5, names=list("abcde"))
    image, row = source.read_one(1)
    assert row == 3
    np.testing.assert_array_equal(image, IMAGES[3])
    assert source.unreadable() == [("b", "'no such record'"), ("c", "No such file or directory")]
    assert len(list(source.dataset())) == 3
    strict = data.from_function(Damaged(), 5, on_error="raise")
    with pytest.raises(ValueError, match="row 1 cannot be read: 'no such record'"):
        strict[1]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((IMAGES, 5), "`read` must be a function"),
        ((IMAGES.__getitem__, 0), "`count` must be a positive integer. Received: count=0"),
        ((IMAGES.__getitem__, 5, [1]), "`labels` must have one .* Received: 1 labels, 5 images"),
    ],
)
def test_bad_arguments_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        data.from_function(*arguments)
    with pytest.raises(ValueError, match="`names` must have one"):
        data.from_function(IMAGES.__getitem__, 5, names=["a"])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F", "CMYK"])
def test_pillow_images_of_every_mode_keep_their_pixels(mode):
    image = Image.fromarray(IMAGES[0])
    if mode in ("I;16", "F"):
        image = Image.fromarray(
            (IMAGES[0, ..., 0] * 200.0).astype("uint16" if mode[0] == "I" else "float32")
        )
    else:
        image = image.convert(mode)
    file = to_contents(image)
    again = Image.open(io.BytesIO(file))
    np.testing.assert_array_equal(np.asarray(again), np.asarray(image))


def test_names_of_rows_count_within_each_place():
    names = RowNames(["a", "b", "c"], [2, 0, 3])
    assert list(names) == ["a[0]", "a[1]", "c[0]", "c[1]", "c[2]"]
    assert (names[-1], names[1:3]) == ("c[2]", ["a[1]", "c[0]"])
    assert list(pickle.loads(pickle.dumps(names))) == list(names)
    with pytest.raises(IndexError):
        names[5]


def test_a_pipeline_reads_an_array_once():
    rows = []

    def read(row):
        rows.append(row)
        return IMAGES[row]

    source = data.from_function(read, 5)
    rows.clear()
    assert len(list(source.dataset())) == 5
    assert sorted(rows) == [0, 1, 2, 3, 4]
