"""Stacks: NIfTI, OME-Zarr, zarr and HDF5 have their library's values, in each order of axes."""

import gzip
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_isd import data as images
from keras_isd.data.decoding.decoder import Decoder
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.decoding.part_readers import open_parts
from keras_isd.data.decoding.stacks import ArrayStack, read_whole

pytestmark = pytest.mark.one_backend("reads files with NumPy")


def numbered(shape, dtype="int16"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def in_order(array, axes, wanted):
    """The array with its axes in another order."""
    return array.transpose([axes.index(axis) for axis in wanted])


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_parts_of_any_axes_equal_those_of_the_array(data):
    axes = "".join(data.draw(st.permutations("TZYXS")))
    lengths = dict(zip("TZYXS", (2, 3, 7, 9, 3)))
    array = numbered([lengths[axis] for axis in axes])
    stack = ArrayStack([array], axes)
    top, left = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 5))
    fixed = data.draw(st.fixed_dictionaries({}, optional={"T": st.just(1), "Z": st.just(2)}))
    wanted = in_order(array, axes, "YX" + "".join(a for a in axes if a in "TZ") + "S")
    others = [axis for axis in axes if axis in "TZ"]
    index = (
        slice(top, top + 3),
        slice(left, left + 4),
        *(fixed.get(a, slice(None)) for a in others),
    )
    part = stack.read(0, top, left, 3, 4, fixed)
    np.testing.assert_array_equal(part, wanted[index].reshape(3, 4, -1))


@pytest.mark.parametrize("axes", ["YX", "TYX", "ZTYX"])
def test_stacks_name_their_axes(axes):
    stack = ArrayStack([numbered([2, 3, 4, 5][-len(axes) :])], axes)
    assert (stack.sizes, stack.channels) == ([(4, 5)], int(np.prod([2, 3][4 - len(axes) :])))
    assert "".join(stack.lengths) == axes.removesuffix("YX")


@pytest.mark.parametrize("axes", ["", "TYX", "ZZYX", "ZTCX"])
def test_missing_doubled_and_too_few_axes_are_refused(axes):
    with pytest.raises(UnreadableImageError, match=r"shape \(2, 3, 4, 5\).*such as TCYX"):
        ArrayStack([numbered((2, 3, 4, 5))], axes)


AFFINES = [
    np.diag([*signs, 1.0])[[*order, 3]]
    for signs in itertools.product((1.0, -1.0), repeat=3)
    for order in itertools.permutations(range(3))
]


@pytest.mark.parametrize("affine", AFFINES[::5], ids=str)
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_nifti_slices_have_nibabel_s_values_in_the_orientation_of_dicom(tmp_path, affine, ending):
    nibabel = pytest.importorskip("nibabel", reason="the extra [nifti]")
    image = nibabel.Nifti1Image(numbered((4, 5, 6, 2)), affine)
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / f"a.{ending}")
    stored = nibabel.load(tmp_path / f"a.{ending}")
    changes = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(affine), nibabel.orientations.axcodes2ornt("LPS")
    )
    expected = stored.as_reoriented(changes).get_fdata()
    assert nibabel.aff2axcodes(stored.as_reoriented(changes).affine) == ("L", "P", "S")
    found = images.slices(images.from_folder(tmp_path), "TZ")
    assert (found.dtype, found.channels) == ("float32", 1)
    for row, (t, z) in enumerate(itertools.product(range(2), range(expected.shape[2]))):
        np.testing.assert_array_equal(found[row][..., 0], expected[:, :, z, t].T)
        assert found.names[row].endswith(f"a.{ending}[T={t},Z={z}]")


def test_nifti_without_slices_has_all_its_values_as_channels(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="the extra [nifti]")
    array = numbered((4, 5, 6))
    nibabel.save(nibabel.Nifti2Image(array, np.diag([-1, -1, 1, 1])), tmp_path / "a.nii")
    source = images.from_folder(tmp_path)
    assert (source.channels, source.dtype) == (6, "int16")
    np.testing.assert_array_equal(source[0], array.transpose(1, 0, 2))


def test_a_compressed_nifti_is_inflated_only_as_far_as_its_header_says(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="the extra [nifti]")
    nibabel.save(nibabel.Nifti1Image(numbered((4, 5, 6)), np.eye(4)), tmp_path / "a.nii")
    contents = (tmp_path / "a.nii").read_bytes()
    longer = Decoder(6, "int16")(gzip.compress(contents + bytes(10**6)))
    np.testing.assert_array_equal(longer, Decoder(6, "int16")(contents))
    for damaged in (
        gzip.compress(contents[:-5]),
        gzip.compress(contents)[:-40],
        gzip.compress(b"x"),
    ):
        with pytest.raises(UnreadableImageError):
            Decoder(6, "int16")(damaged)
    header = bytearray(contents)
    header[42:48] = np.array([30_000, 30_000, 30_000], "int16").tobytes()
    with pytest.raises(UnreadableImageError, match="MAX_IMAGE_PIXELS"):
        Decoder(6, "int16")(gzip.compress(bytes(header)))


def write_ome_zarr(path, levels, axes, version):
    """Writes the levels of an OME-Zarr image, as its specification has it."""
    zarr = pytest.importorskip("zarr", reason="the extra [zarr]")
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    for number, level in enumerate(levels):
        array = group.create_array(
            str(number), shape=level.shape, dtype=level.dtype, chunks=(4,) * level.ndim
        )
        array[:] = level
    scales = [{
        "version": version,
        "axes": [{"name": axis.lower(), "type": "space"} for axis in axes],
        "datasets": [{"path": str(number)} for number in range(len(levels))],
    }]  # fmt: skip
    group.attrs.update(
        {"multiscales": scales} if version == "0.4" else {"ome": {"multiscales": scales}}
    )


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["TCZYX", "CZYX", "ZYX"])
def test_ome_zarr_slices_equal_its_array(tmp_path, axes, version):
    array = numbered([2, 3, 4, 8, 10][-len(axes) :], "uint16")
    half = array[..., ::2, ::2]
    write_ome_zarr(tmp_path / "a.ome.zarr", [array, half], axes, version)
    source = images.from_folder(tmp_path)
    assert [name.split("/")[-1] for name in source.names] == ["a.ome.zarr"]
    found = images.slices(source, "Z")
    expected = np.moveaxis(array, axes.index("Z"), 0).reshape(4, -1, 8, 10)
    for z, image in enumerate(found):
        np.testing.assert_array_equal(image, expected[z].transpose(1, 2, 0))
    np.testing.assert_array_equal(source[0], read_whole(open_parts(source.names[0])))
    cut = images.tiles(source, 4, keep=0, level=1)
    assert len(cut) == 2
    np.testing.assert_array_equal(cut[1][..., 0], half.reshape(-1, 4, 5)[0][:, 1:])


def test_zarr_of_eight_bits_is_read_by_tf_data_too(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", [numbered((3, 8, 10), "uint8")], "CYX", "0.5")
    source = images.from_folder(tmp_path)
    assert (source.channels, source.dtype) == (3, "uint8")
    (image,) = source.dataset()
    np.testing.assert_array_equal(image.numpy(), source[0])


def test_zarr_groups_that_are_no_image_are_named(tmp_path):
    zarr = pytest.importorskip("zarr", reason="the extra [zarr]")
    zarr.create_group(tmp_path / "a.zarr").create_array("cells", shape=(4, 4), dtype="uint8")
    with pytest.raises(UnreadableImageError, match="group of cells"):
        open_parts(str(tmp_path / "a.zarr"))


def test_hdf5_needs_axes_unless_its_dimensions_have_labels(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra [hdf5]")
    array = numbered((3, 2, 6, 7), "uint16")
    for name, labels in (("plain", None), ("labelled", ("time", "channel", "y", "x"))):
        (tmp_path / name).mkdir()
        with h5py.File(tmp_path / name / "a.h5", "w") as file:
            stored = file.create_dataset("inner/raw", data=array)
            file["table"] = np.zeros(3)
            for dimension, label in zip(stored.dims, labels or ()):
                dimension.label = label
    labelled = images.slices(images.from_folder(tmp_path / "labelled", channels=1), "T")
    plain = images.from_folder(tmp_path / "plain", channels=1, dtype="uint16")
    with pytest.raises(ValueError, match=r"shape \(3, 2, 6, 7\).*without names.*such as TCYX"):
        images.slices(plain, "T")
    named = images.slices(plain, "T", axes="TCYX")
    for found in (labelled, named):
        np.testing.assert_array_equal(found[2], array[2].transpose(1, 2, 0))
    again = images.from_paths([named.names[1]])
    assert again.names[0].endswith("a.h5[T=1;TCYX]")
    np.testing.assert_array_equal(again[0], named[1])


def test_hdf5_with_several_arrays_names_them(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra [hdf5]")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"], file["mask"] = np.zeros((2, 5, 6), "uint8"), np.zeros((5, 6), "uint8")
    with pytest.raises(UnreadableImageError, match=r"2 arrays: /mask \(5, 6\), /raw"):
        open_parts(str(tmp_path / "a.h5"))
    assert open_parts(str(tmp_path / "a.h5"), "ZYX").lengths == {"Z": 2}


def test_axes_can_be_given_to_tiff_that_does_not_name_them(tmp_path):
    import tifffile

    array = numbered((2, 3, 16, 18), "uint16")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", metadata=None)
    source = images.from_folder(tmp_path)
    found = images.slices(source, "T", axes="TYX")
    assert len(found) == 6
    with pytest.raises(ValueError, match=r"shape \(6, 16, 18\), expected the axes TCYX"):
        images.slices(source, "T", axes="TCYX")


def test_axes_without_those_of_the_slices_are_refused(tmp_path):
    source = images.from_arrays(numbered((1, 8, 8, 3), "uint8"))
    with pytest.raises(ValueError, match="axes='CYX', each='T'"):
        images.slices(source, "T", axes="CYX")
