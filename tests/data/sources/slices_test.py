"""Slices of stacks: their pixels, channels and names, for each order of the axes."""

import itertools
import pickle

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_isd import data

pytestmark = pytest.mark.one_backend("reads files with NumPy")

RANDOM = np.random.RandomState(0)


def write(path, axes, lengths, dtype="uint16", **options):
    """Writes an OME-TIFF whose numbers are all different; returns its array."""
    shape = [*lengths, 12, 10]
    stack = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    options = {"photometric": "minisblack", "metadata": {"axes": f"{axes}YX"}} | options
    tifffile.imwrite(path, stack, **options)
    return stack


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_slices_of_any_axes_equal_those_of_the_array(data, tmp_path_factory):
    from keras_isd import data as images

    axes = data.draw(st.permutations("TZC"))
    lengths = [data.draw(st.integers(2, 4)) for _ in axes]
    each = "".join(data.draw(st.lists(st.sampled_from("TZC"), min_size=1, unique=True)))
    folder = tmp_path_factory.mktemp("stack")
    stack = write(folder / "a.ome.tif", "".join(axes), lengths)
    found = images.slices(images.from_folder(folder), each)
    expected = []
    for places in itertools.product(*(range(lengths[axes.index(axis)]) for axis in each)):
        fixed = dict(zip(each, places))
        part = stack[tuple(fixed.get(axis, slice(None)) for axis in axes)]
        expected.append(np.moveaxis(part.reshape(-1, 12, 10), 0, 2))
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)


def test_a_movie_becomes_its_frames_with_channels_names_and_groups(tmp_path):
    first = write(tmp_path / "a.ome.tif", "TC", (3, 2))
    write(tmp_path / "b.ome.tif", "TC", (2, 2))
    found = data.slices(data.from_folder(tmp_path, channels=1), "T")
    names = [name.split("/")[-1] for name in found.names]
    assert names == ["a.ome.tif[T=0]", "a.ome.tif[T=1]", "a.ome.tif[T=2]", "b.ome.tif[T=0]",
                     "b.ome.tif[T=1]"]  # fmt: skip
    assert (found.channels, found.dtype) == (2, "uint16")
    assert found.groups.tolist() == [0, 0, 0, 1, 1]
    assert found.group_names == ["a.ome.tif", "b.ome.tif"]
    np.testing.assert_array_equal(found[1], np.moveaxis(first[1], 0, 2))
    again = pickle.loads(pickle.dumps(found.subset([4, 1])))
    np.testing.assert_array_equal(again[1], found[1])
    images = [image.numpy() for image in found.dataset()]
    assert all(np.array_equal(one, other) for one, other in zip(images, found, strict=True))


def test_a_projection_is_the_maximum_along_its_axis(tmp_path):
    stack = write(tmp_path / "a.ome.tif", "TZC", (2, 3, 2))
    stack[:, 0, :, :3] = 60_000
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, photometric="minisblack",
                     metadata={"axes": "TZCYX"})  # fmt: skip
    found = data.slices(data.from_folder(tmp_path), "T", project="Z")
    np.testing.assert_array_equal(found[1], np.moveaxis(stack[1].max(axis=0), 0, 2))
    assert found.names[1].endswith("a.ome.tif[T=1,Z=max]")


def test_neighbouring_slices_are_channels_and_the_last_one_is_repeated(tmp_path):
    stack = write(tmp_path / "a.ome.tif", "ZC", (4, 2))
    found = data.slices(data.from_folder(tmp_path), "Z", adjacent=1)
    assert (found.channels, found[0].shape) == (6, (12, 10, 6))
    expected = np.moveaxis(stack[[0, 0, 1]].reshape(6, 12, 10), 0, 2)
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(found[3][..., 4:], np.moveaxis(stack[3], 0, 2))
    assert found.names[3].endswith("a.ome.tif[Z=3+1]")


@pytest.mark.parametrize(
    "options", [{"each": "TZ"}, {"each": "T", "project": "Z"}, {"each": "Z", "adjacent": 2}]
)
def test_a_source_of_names_has_the_same_slices(options, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.ome.tif", "TZC", (2, 3, 2))
    found = data.slices(data.from_folder(tmp_path), **options)
    rows = [len(found) - 1, 0, 1]
    again = data.from_paths([found.names[row] for row in rows], labels=["x", "y", "x"])
    assert again.labels.tolist() == [0, 1, 0]
    assert again.channels == found.channels
    for one, row in zip(again, rows, strict=True):
        np.testing.assert_array_equal(one, found[row])


def test_a_single_channel_of_eight_bits_is_repeated_to_three(tmp_path):
    stack = write(tmp_path / "a.tif", "T", (3,), "uint8", imagej=True)
    found = data.slices(data.from_folder(tmp_path), "T")
    np.testing.assert_array_equal(found[1], np.repeat(stack[1][..., None], 3, axis=-1))


def test_colours_of_a_page_are_the_last_channels(tmp_path):
    stack = RANDOM.randint(0, 256, (2, 12, 10, 3)).astype("uint8")
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, photometric="rgb", metadata={"axes": "TYXS"})
    found = data.slices(data.from_folder(tmp_path), "T")
    np.testing.assert_array_equal(found[1], stack[1])


def test_files_without_the_axes_are_named_with_those_that_they_have(tmp_path, caplog):
    write(tmp_path / "a.ome.tif", "TC", (3, 2))
    write(tmp_path / "b.ome.tif", "ZC", (3, 2))
    Image.new("L", (10, 12)).save(tmp_path / "c.png")
    source = data.from_folder(tmp_path, channels=1, dtype="uint16")
    with caplog.at_level("WARNING"):
        assert len(data.slices(source, "T")) == 3
    assert "2 files have no slices" in caplog.text
    assert "b.ome.tif: it has no axis T, but Z (3), C (2)" in caplog.text
    with pytest.raises(ValueError, match=r"with the axes Q\. Received: .*T \(3\), C \(2\)"):
        data.slices(source, "Q")


def test_files_that_differ_in_the_axes_left_are_named(tmp_path):
    write(tmp_path / "a.ome.tif", "TC", (3, 2))
    write(tmp_path / "b.ome.tif", "TC", (3, 4))
    with pytest.raises(ValueError, match=r"agree in channels.*2 channels.*4 channels"):
        data.slices(data.from_folder(tmp_path, channels=1), "T")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"each": "YX"}, "`each` must be axes"),
        ({"each": "t"}, "`each` must be axes"),
        ({"each": "TT"}, "`each` must be axes"),
        ({"each": "T", "project": "T"}, "`project` must not be among"),
        ({"each": "T", "project": "ZC"}, "`project` must be an axis"),
        ({"each": "T", "adjacent": -1}, "`adjacent`"),
    ],
)
def test_wrong_arguments_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        data.slices(data.from_arrays(np.zeros((1, 8, 8, 3), "uint8")), **options)


def test_arrays_have_no_axes():
    with pytest.raises(ValueError, match="parts cannot be read"):
        data.slices(data.from_arrays(np.zeros((1, 8, 8, 3), "uint8")), "T")


def test_floats_of_64_bits_become_those_of_32(tmp_path):
    stack = RANDOM.randn(3, 12, 10)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "TYX"})
    found = data.slices(data.from_folder(tmp_path), "T")
    assert (found.dtype, found[1].dtype) == ("float32", "float32")
    np.testing.assert_allclose(found[1][..., 0], stack[1], rtol=1e-6)


def test_slices_are_no_tiles(tmp_path):
    write(tmp_path / "a.ome.tif", "T", (3,))
    assert data.slices(data.from_folder(tmp_path), "T").large_images is None
