"""DICOM: units of the modality, colours, frames, and the slices of a series."""

import itertools

import numpy as np
import pytest

from keras_isd import data as images
from keras_isd.data.decoding.decoder import Decoder
from keras_isd.data.decoding.part_readers import open_parts

pydicom = pytest.importorskip("pydicom", reason="the extra [dicom]")
pytestmark = pytest.mark.one_backend("reads files with NumPy")

PIXELS = np.arange(48, dtype="uint16").reshape(6, 8) * 20


def write(path, array, **tags):
    """Writes a DICOM file with pydicom."""
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = pydicom.uid.CTImageStorage, pydicom.uid.generate_uid()
    samples = array.shape[-1] if "PlanarConfiguration" in tags else 1
    shape = array.shape[:-1] if samples > 1 else array.shape
    data.Rows, data.Columns = shape[-2:]
    if len(shape) == 3:
        data.NumberOfFrames = shape[0]
    data.SamplesPerPixel = samples
    data.BitsAllocated = data.BitsStored = array.dtype.itemsize * 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(array.dtype.kind == "i")
    data.PhotometricInterpretation = "MONOCHROME2"
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = array.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path.read_bytes()


def test_scanners_with_other_slopes_give_equal_hounsfield_units(tmp_path):
    hounsfield = np.array([[-1000, 0, 40, 400]], "float32").repeat(4, axis=0)
    for number, (slope, intercept) in enumerate([(1, -1024), (0.5, -2000), (2, -1000)]):
        stored = ((hounsfield - intercept) / slope).astype("uint16")
        write(tmp_path / f"{number}.dcm", stored, RescaleSlope=slope, RescaleIntercept=intercept)
    source = images.from_folder(tmp_path)
    assert (source.channels, source.dtype) == (1, "float32") or source.channels == 3
    for image in source:
        np.testing.assert_array_equal(image[..., 0], hounsfield)
    raw = images.from_folder(tmp_path, raw=True)
    assert [int(image[0, 1, 0]) for image in raw] == [1024, 4000, 500]


def test_values_without_units_stay_as_they_are_stored(tmp_path):
    found = Decoder(1, "uint16")(write(tmp_path / "a.dcm", PIXELS))
    np.testing.assert_array_equal(found[..., 0], PIXELS)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_white_and_black_are_exchanged_where_0_is_white(tmp_path, dtype):
    array = np.array([[0, 1], [100, 120]], dtype)
    limits = np.iinfo(dtype)
    contents = write(tmp_path / "a.dcm", array, PhotometricInterpretation="MONOCHROME1")
    found = Decoder(1, dtype)(contents)[..., 0].astype(int)
    np.testing.assert_array_equal(found, limits.max + limits.min - array.astype(int))
    np.testing.assert_array_equal(Decoder(1, dtype, raw=True)(contents)[..., 0], array)


def test_ybr_becomes_rgb(tmp_path):
    colors = np.random.RandomState(0).randint(30, 220, (4, 4, 3)).astype("uint8")
    ybr = pydicom.pixels.convert_color_space(colors, "RGB", "YBR_FULL")
    tags = {"PlanarConfiguration": 0, "PhotometricInterpretation": "YBR_FULL"}
    contents = write(tmp_path / "a.dcm", ybr, **tags)
    np.testing.assert_allclose(Decoder()(contents).astype(int), colors, atol=2)
    np.testing.assert_array_equal(Decoder(raw=True)(contents), ybr)


def test_each_frame_has_its_own_transformation(tmp_path):
    groups = []
    for slope, intercept in ((1, 0), (3, -5)):
        inner, group = pydicom.Dataset(), pydicom.Dataset()
        inner.RescaleSlope, inner.RescaleIntercept, inner.RescaleType = slope, intercept, "US"
        group.PixelValueTransformationSequence = [inner]
        groups.append(group)
    frames = np.stack([PIXELS, PIXELS + 1])
    write(tmp_path / "a.dcm", frames, PerFrameFunctionalGroupsSequence=groups)
    expected = [PIXELS.astype("float32"), (PIXELS + 1.0) * 3 - 5]
    found = images.slices(images.from_folder(tmp_path), "Z")
    whole = images.from_folder(tmp_path, channels=2)[0]
    for number, values in enumerate(expected):
        np.testing.assert_array_equal(found[number][..., 0], values)
        np.testing.assert_array_equal(whole[..., number], values)


def test_frames_with_times_are_a_movie(tmp_path):
    write(tmp_path / "a.dcm", np.stack([PIXELS, PIXELS + 1, PIXELS + 2]), FrameTime=40)
    found = images.slices(images.from_folder(tmp_path, channels=1), "T", adjacent=1)
    expected = np.stack([PIXELS, PIXELS + 1, PIXELS + 2], axis=-1)
    np.testing.assert_array_equal(found[1], expected)


def write_series(folder, positions, series="1.2.3", first=0):
    """Writes slices whose pixels are their position, in files of random names."""
    folder.mkdir(exist_ok=True)
    order = np.random.RandomState(first).permutation(len(positions))
    for number, at in zip(order, range(len(positions))):
        write(
            folder / f"IM{first + number:03}.dcm",
            np.full((6, 8), positions[at], "uint16"),
            SeriesInstanceUID=series,
            ImagePositionPatient=[5, 7, -float(positions[at])],
            ImageOrientationPatient=[1, 0, 0, 0, -1, 0],
        )


def test_the_files_of_a_series_are_slices_in_the_order_of_their_positions(tmp_path):
    write_series(tmp_path / "one", [10, 13, 16, 19])
    write_series(tmp_path / "one", [30, 35], "4.5.6", first=10)
    write_series(tmp_path / "two", [1, 2, 3])
    source = images.from_folder(tmp_path, labels=None)
    assert len(source) == 9
    found = images.slices(source, "Z", adjacent=1)
    centres = [float(image[0, 0, 1]) for image in found]
    assert centres == [10, 13, 16, 19, 30, 35, 1, 2, 3]
    assert found[1][0, 0].tolist() == [10, 13, 16]
    assert found[0][0, 0].tolist() == [10, 10, 13]
    assert found.groups.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2]
    again = images.from_paths([found.names[2], found.names[5]])
    np.testing.assert_array_equal(again[1], found[5])
    assert len(again) == 2


def test_series_with_missing_or_doubled_slices_are_left_out_with_the_reason(tmp_path, caplog):
    write_series(tmp_path / "good", [1, 2, 3])
    write_series(tmp_path / "gap", [1, 2, 3, 5], "2", first=10)
    write_series(tmp_path / "twice", [1, 2, 2], "3", first=20)
    source = images.from_folder(tmp_path, labels=None)
    found = images.slices(source, "Z")
    assert len(found) == 3
    assert "missing between the positions 3 and 5" in caplog.text
    assert "several slices at position 2" in caplog.text
    strict = images.from_folder(tmp_path, labels=None, on_error="raise")
    with pytest.raises(ValueError, match="missing between the positions 3 and 5"):
        images.slices(strict, "Z")


def test_tiles_of_a_file_are_of_that_file_alone(tmp_path):
    write_series(tmp_path / "one", [10, 13])
    found = images.tiles(images.from_folder(tmp_path, labels=None, channels=1), 3, keep=0)
    assert len(found) == 2 * 2 * 3
    assert set(itertools.chain(*(np.unique(tile).tolist() for tile in found))) == {10, 13}


def test_slices_of_compressed_parts_and_other_files_do_not_disturb_a_series(tmp_path):
    write_series(tmp_path / "one", [10, 13])
    (tmp_path / "one" / "notes.txt").write_text("DICOM")
    assert open_parts(str(tmp_path / "one" / "IM000.dcm"), is_series=True).lengths == {"Z": 2}
