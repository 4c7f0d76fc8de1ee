"""Arrays in HDF5 files and Zarr stores: pixels, labels, groups, damaged parts and errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_isd import data
from tests.support.sources import check_reading, encode

h5py = pytest.importorskip("h5py", reason="h5py reads HDF5")
zarr = pytest.importorskip("zarr", reason="zarr reads Zarr stores")
pytestmark = [
    pytest.mark.one_backend("reads files with NumPy"),
    pytest.mark.filterwarnings("ignore:.*fork"),
]

RANDOM = np.random.RandomState(0)
COLORS = RANDOM.randint(0, 256, (6, 8, 9, 3)).astype("uint8")


def write(path, **arrays):
    """Writes arrays to an HDF5 file or a Zarr group; returns the function that reads it."""
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
        return data.from_hdf5
    group = zarr.open_group(path, mode="w")
    for name, array in arrays.items():
        group.create_array(name, data=np.asarray(array))
    return data.from_zarr


@pytest.mark.parametrize("ending", ["h5", "zarr"])
def test_images_labels_and_groups_equal_the_arrays(ending, tmp_path):
    path = tmp_path / f"data.{ending}"
    arrays = {
        "images": COLORS,
        "y": np.array([[0], [1], [-1], [1], [0], [0]]),
        "plate": [3, 3, 1, 1, 0, 2],
    }
    read = write(path, **arrays)
    source = read(path, "images", labels="y", group="plate")
    check_reading(source, list(COLORS))
    assert source.labels.tolist() == [0, 1, -1, 1, 0, 0]
    assert source.groups.tolist() == [3, 3, 1, 1, 0, 2]
    assert source.names[2] == f"{path}[2]"
    given = read(path, "images", labels=["a", "b", None, "b", "a", "a"], group=list("ppqqrr"))
    assert (given.labels.tolist(), given.class_names) == ([0, 1, -1, 1, 0, 0], ["a", "b"])
    assert given.group_names == ["p", "q", "r"]


@settings(max_examples=20, deadline=None)
@given(
    channels=st.integers(0, 5),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]),
    ending=st.sampled_from(["h5", "zarr"]),
    rows=st.permutations(range(4)),
)
def test_arrays_of_any_kind_are_read_like_those_in_memory(
    channels, dtype, ending, rows, tmp_path_factory
):
    images = RANDOM.randint(0, 200, (4, 5, 7, channels)[: 4 if channels else 3]).astype(dtype)
    path = tmp_path_factory.mktemp("arrays") / f"a.{ending}"
    source = write(path, images=images)(path, "images")
    expected = data.from_arrays(images)
    assert (source.channels, source.dtype) == (expected.channels, expected.dtype)
    for row in rows:
        np.testing.assert_array_equal(source[row], expected[row])


def test_image_files_in_an_array_of_variable_length_are_decoded(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        files = file.create_dataset("files", (6,), dtype=h5py.vlen_dtype("uint8"))
        for row, image in enumerate(COLORS):
            contents = encode(image)[: 20 if row == 4 else None]
            files[row] = np.frombuffer(contents, "uint8")
        file["kind"] = ["cat", "dog", "", "dog", "cat", "cat"]
    source = data.from_hdf5(tmp_path / "a.h5", "files", labels="kind")
    assert (source.labels.tolist(), source.class_names) == ([0, 1, -1, 1, 0, 0], ["cat", "dog"])
    assert source.read_one(4)[1] == 5
    assert [name for name, _ in source.unreadable()] == [source.names[4]]
    part = source.subset([0, 1, 2, 3, 5])
    check_reading(part, [COLORS[row] for row in (0, 1, 2, 3, 5)])


def test_a_store_may_be_an_array_or_have_a_single_stack(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=COLORS, chunks=(1, 8, 9, 3))
    np.testing.assert_array_equal(data.from_zarr(tmp_path / "a.zarr")[3], COLORS[3])
    write(tmp_path / "b.zarr", **{"deep/stack": COLORS, "y": np.arange(6)})
    np.testing.assert_array_equal(data.from_zarr(tmp_path / "b.zarr")[3], COLORS[3])
    write(tmp_path / "c.h5", **{"deep/stack": COLORS, "y": np.arange(6)})
    np.testing.assert_array_equal(data.from_hdf5(tmp_path / "c.h5", None)[3], COLORS[3])


@pytest.mark.parametrize("ending", ["h5", "zarr"])
def test_a_damaged_chunk_is_an_unreadable_image(ending, tmp_path):
    path = tmp_path / f"a.{ending}"
    if ending == "h5":
        with h5py.File(path, "w") as file:
            array = file.create_dataset(
                "images", data=COLORS, chunks=(1, 8, 9, 3), compression="gzip"
            )
            place = array.id.get_chunk_info(2)
        with open(path, "r+b") as file:
            file.seek(place.byte_offset)
            file.write(bytes(place.size))
        source = data.from_hdf5(path)
    else:
        zarr.create_array(path, data=COLORS, chunks=(1, 8, 9, 3))
        (path / "c/2/0/0/0").write_bytes(b"damaged")
        source = data.from_zarr(path)
    assert source.read_one(2)[1] == 3
    assert [name for name, _ in source.unreadable()] == [f"{path}[2]"]


@pytest.mark.parametrize("ending", ["h5", "zarr"])
def test_bad_arguments_are_named(ending, tmp_path):
    path = tmp_path / f"a.{ending}"
    read = write(path, images=COLORS, other=COLORS, y=np.arange(6), short=np.arange(5))
    argument, first = ("images", "file") if ending == "h5" else ("array", "store")
    with pytest.raises(
        ValueError, match=f"`{argument}` must name an array .* Received: y, and .*y \\(6,\\)"
    ):
        read(path, "y")
    with pytest.raises(
        ValueError, match=r"Received: the only array of images, and .*images .*other"
    ):
        read(path, None)
    with pytest.raises(ValueError, match=r"`labels` must name an array\. Received: z"):
        read(path, "images", labels="z")
    with pytest.raises(ValueError, match=r"`labels` must have one for each image\. Received: 5"):
        read(path, "images", labels="short")
    with pytest.raises(ValueError, match=f"`{first}` must be .* Received: .*nothing"):
        read(tmp_path / "nothing", "images")
