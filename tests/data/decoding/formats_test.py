"""Formats, depths and channels are read exactly as the format's own library reads them."""

import io
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_isd import data
from keras_isd.data.decoding.decoder import Decoder
from keras_isd.data.decoding.formats import UnreadableImageError
from tests.support.photographs import small_photographs

pytestmark = pytest.mark.one_backend("files are read alike under any backend")
tifffile = pytest.importorskip("tifffile")
PHOTOGRAPH = small_photographs()[2]
RANDOM = np.random.default_rng(0)


def noise(*shape, dtype="uint16"):
    if np.dtype(dtype).kind == "f":
        return RANDOM.normal(size=shape).astype(dtype)
    return RANDOM.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype)


def saved(image, form, **arguments):
    file = io.BytesIO()
    image.save(file, form, **arguments)
    return file.getvalue()


def tiff(array, **arguments):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **arguments)
    return file.getvalue()


def numpy_file(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def dicom(array, **tags):
    pydicom = pytest.importorskip("pydicom", reason="the extra [dicom]")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.Rows, dataset.Columns = array.shape[-2:]
    if array.ndim == 3:
        dataset.NumberOfFrames = len(array)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * array.itemsize
    dataset.HighBit = 8 * array.itemsize - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    dataset.PixelData = array.tobytes()
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def photograph(mode="RGB"):
    return Image.fromarray(PHOTOGRAPH).convert(mode)


GRAY = noise(6, 7)
BANDS = noise(13, 40, 50)
COLORS = noise(40, 50, 3)

# The contents of a file, and the expected array; None for tifffile's own result.
KINDS = {
    "TIFF, 16 bits": (tiff(GRAY), GRAY[..., None]),
    "TIFF, 16 bits, big-endian": (tiff(GRAY, byteorder=">"), GRAY[..., None]),
    "TIFF, int16": (tiff(GRAY.astype("int16")), GRAY.astype("int16")[..., None]),
    "TIFF, float32": (tiff(GRAY / np.float32(7)), GRAY[..., None] / np.float32(7)),
    "TIFF, 8 bits, five channels last": (
        tiff(noise(40, 50, 5, dtype="uint8"), planarconfig="contig", photometric="minisblack"),
        None,
    ),
    "TIFF, 13 pages": (tiff(BANDS), BANDS.transpose(1, 2, 0)),
    "TIFF, 13 bands in one page": (
        tiff(BANDS, planarconfig="separate", photometric="minisblack"),
        BANDS.transpose(1, 2, 0),
    ),
    "TIFF of an array (H, W, 13)": (
        tiff(np.ascontiguousarray(BANDS.transpose(1, 2, 0))),
        BANDS.transpose(1, 2, 0),
    ),
    "TIFF, 16 bits in colour, deflate": (
        tiff(COLORS, photometric="rgb", compression="deflate"),
        COLORS,
    ),
    "TIFF, 16 bits in colour, LZW": (tiff(COLORS, photometric="rgb", compression="lzw"), COLORS),
    "BigTIFF": (tiff(GRAY, bigtiff=True), GRAY[..., None]),
    "PNG, 16 bits gray": (saved(Image.fromarray(GRAY), "PNG"), GRAY[..., None]),
    "PGM of a camera": (
        b"P5 # twelve bits\n7 6\n4095\n" + (GRAY % 4096).astype(">u2").tobytes(),
        GRAY[..., None] % 4096,
    ),
    "PPM, 16 bits": (b"P6\n50 40\n# c\n65535\n" + COLORS.astype(">u2").tobytes(), COLORS),
    "PGM, 16 bits": (b"P5 7 6 65535\n" + GRAY.astype(">u2").tobytes(), GRAY[..., None]),
    "npy, five channels": (numpy_file(COLORS[..., [0, 1, 2, 0, 1]]), COLORS[..., [0, 1, 2, 0, 1]]),
    "npy, float64": (numpy_file(np.arange(6.0).reshape(2, 3)), np.arange(6.0).reshape(2, 3, 1)),
    "npz": (archive(image=COLORS), COLORS),
    "DICOM, int16": (lambda: dicom(GRAY.astype("int16")), GRAY.astype("int16")[..., None]),
    "DICOM, three frames": (lambda: dicom(BANDS[:3]), BANDS[:3].transpose(1, 2, 0)),
}


def kind(name):
    contents, expected = KINDS[name]
    contents = contents() if callable(contents) else contents
    if expected is None:
        expected = tifffile.imread(io.BytesIO(contents))
    return contents, expected


@pytest.mark.parametrize("name", KINDS)
def test_values_of_any_depth_and_number_of_channels_are_preserved(name):
    contents, expected = kind(name)
    dtype = "float32" if expected.dtype == "float64" else str(expected.dtype)
    found = Decoder(expected.shape[-1], dtype)(contents)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


def test_a_coloured_png_keeps_its_16_bits():
    imagecodecs = pytest.importorskip("imagecodecs", reason="the extra [formats]")
    np.testing.assert_array_equal(Decoder(3, "uint16")(imagecodecs.png_encode(COLORS)), COLORS)


def make_small_photographs(size):
    """Makes small photographs in Pillow's formats."""
    small = photograph().resize((size, size))
    forms = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000", "PPM", "TGA", "BMP", "GIF", "ICO", "TIFF")
    return [saved(small, form) for form in forms]


def test_pillow_converts_colours_that_tifffile_does_not():
    for mode in ("CMYK", "LAB"):
        image = Image.new("RGB", (9, 8), (200, 10, 60))
        if mode == "LAB":
            image = Image.new("LAB", (9, 8), (120, 140, 90))
        contents = saved(image.convert(mode), "TIFF")
        expected = Image.open(io.BytesIO(contents)).convert("RGB")
        np.testing.assert_array_equal(Decoder()(contents), np.asarray(expected))
    contents = tiff(np.full((8, 9), 250, "uint8"), photometric="miniswhite")
    assert Decoder()(contents).max() == 5


def test_white_is_zero_is_inverted_at_every_depth_and_in_every_page():
    for dtype, bits in (("uint8", 8), ("uint16", 16)):
        pages = noise(3, 8, 9, dtype=dtype)
        for array in (pages, pages[0]):
            found = Decoder().read_stored(tiff(array, photometric="miniswhite"))
            expected = 2**bits - 1 - (np.moveaxis(array, 0, 2) if array.ndim == 3 else array)
            np.testing.assert_array_equal(np.squeeze(np.asarray(found)), expected)


@pytest.mark.parametrize(("dtype", "nodata"), [("int16", -9999), ("uint8", 0), ("float32", "nan")])
def test_gdals_value_for_missing_pixels_is_no_pixel_value(dtype, nodata):
    image = np.arange(1, 13).astype(dtype).reshape(3, 4)
    marked = image.copy()
    marked[0, :3] = nodata  # the others are 4 to 12, with a median of 8
    file = tiff(marked, extratags=[(42113, "s", 0, f"{nodata}", True)])
    image[0, :3] = 8
    np.testing.assert_array_equal(Decoder(1, dtype)(file)[..., 0], image)


def test_every_page_of_a_palette_has_its_colours():
    colors = [photograph().rotate(angle).quantize(16) for angle in (0, 90)]
    contents = saved(colors[0], "TIFF", save_all=True, append_images=colors[1:])
    expected = np.concatenate([np.asarray(image.convert("RGB")) for image in colors], axis=-1)
    np.testing.assert_array_equal(Decoder().read_stored(contents), expected)


def test_a_thumbnail_before_the_image_is_not_the_image(tmp_path):
    image = noise(40, 50)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(image[::5, ::5])
        file.write(image)
        file.write(image[::4, ::4])
    found = Decoder().read_stored((tmp_path / "a.tif").read_bytes())
    np.testing.assert_array_equal(found[..., 0], image)


OME = """<?xml version="1.0"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{number}">
<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8"
SizeC="1" SizeT="2" SizeX="9" SizeY="8" SizeZ="1">
<TiffData FirstT="0" IFD="0" PlaneCount="1"><UUID FileName="0.ome.tif">urn:uuid:0</UUID></TiffData>
<TiffData FirstT="1" IFD="0" PlaneCount="1"><UUID FileName="1.ome.tif">urn:uuid:1</UUID></TiffData>
</Pixels></Image></OME>"""


def write_ome_set(folder):
    """Writes a set of two files, one for each time, whose metadata describes both."""
    for number in (0, 1):
        text = OME.format(number=number)
        pixels = np.full((8, 9), 50 + number, "uint8")
        path = folder / f"{number}.ome.tif"
        tifffile.imwrite(path, pixels, description=text, metadata=None)


def test_a_file_of_an_ome_set_has_its_own_pages_alone(tmp_path):
    write_ome_set(tmp_path)
    source = data.from_folder(tmp_path)
    assert [image[0, 0].tolist() for image in source] == [[50] * 3, [51] * 3]
    windows = [source.open_parts(row) for row in (0, 1)]
    assert [one.read(0, 0, 0, 8, 9).tolist() for one in windows] == [
        np.full((8, 9, 1), value).tolist() for value in (50, 51)
    ]


def test_a_transparent_tiff_is_read_as_a_transparent_png_is(tmp_path, caplog):
    image = photograph("RGBA")
    image.putalpha(7)
    (tmp_path / "a.tif").write_bytes(saved(image, "TIFF"))
    with caplog.at_level("WARNING", logger="absl"):
        source = data.from_folder(tmp_path)
    assert source.channels == 3
    np.testing.assert_array_equal(source[0], np.asarray(photograph()))
    assert "transparency is dropped unless `channels=4`" in caplog.text
    assert data.from_folder(tmp_path, channels=4)[0][0, 0, 3] == 7


def test_compressed_tiffs_need_a_decoder_that_limits_memory(tmp_path, monkeypatch):
    bomb = tiff(np.zeros((8, 8, 5), "uint16"), planarconfig="contig", compression="deflate")
    (tmp_path / "a.tif").write_bytes(bomb)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r'pip install "keras-isd\[formats\]"'):
        data.from_folder(tmp_path)
    gray = tiff(np.full((8, 9), 250, "uint8"), compression="deflate")
    assert Decoder()(gray).min() == 250  # Pillow reads it


EIGHT_BITS = {
    "JPEG": saved(photograph(), "JPEG", quality=90),
    "PNG": saved(photograph(), "PNG"),
    "WebP": saved(photograph(), "WEBP"),
    "AVIF": saved(photograph(), "AVIF"),
    "JPEG 2000": saved(photograph(), "JPEG2000"),
    "PPM": saved(photograph(), "PPM"),
    "TGA": saved(photograph(), "TGA"),
    "ICO": saved(photograph().resize((64, 64)), "ICO"),
    "MPO": saved(photograph(), "MPO", save_all=True, append_images=[photograph().rotate(90)]),
    "TIFF": saved(photograph(), "TIFF"),
    "TIFF, LZW": saved(photograph(), "TIFF", compression="tiff_lzw"),
    "TIFF, palette": saved(photograph().quantize(64), "TIFF"),
}


@pytest.mark.parametrize("name", EIGHT_BITS)
def test_photographs_are_read_as_pillow_reads_them(name):
    expected = Image.open(io.BytesIO(EIGHT_BITS[name])).convert("RGB")
    np.testing.assert_array_equal(Decoder()(EIGHT_BITS[name]), np.asarray(expected))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_are_converted_as_pillow_does(mode, channels):
    image = photograph(mode)
    form = "TIFF" if mode == "CMYK" else "PNG"
    if mode == "CMYK":
        form = "JPEG"
    contents = saved(image, form)
    opened = Image.open(io.BytesIO(contents))
    if mode in ("P", "CMYK"):
        opened = opened.convert("RGB")
    expected = np.asarray(opened.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]))
    found = Decoder(channels)(contents)
    np.testing.assert_array_equal(found, expected.reshape(found.shape))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_images_are_turned_by_their_orientation(orientation, form):
    exif = Image.Exif()
    exif[0x0112] = orientation
    contents = saved(photograph().crop((0, 0, 60, 40)), form, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(contents))).convert("RGB"))
    np.testing.assert_array_equal(Decoder()(contents), expected)


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (numpy_file(np.array([{}, {}], dtype=object)), "pickle"),
        (numpy_file(np.arange(4)), "shape"),
        (numpy_file(np.zeros((2, 2), "complex64")), "complex64"),
        (numpy_file(np.full((2, 2), np.nan)), "4 of its 4 numbers are not finite"),
        (archive(a=GRAY, b=GRAY), "archive of 2 files"),
        (numpy_file(GRAY)[:60] + numpy_file(GRAY)[66:], "reshape|header|Cannot|parse"),
        (b"P3 1 1 65535\n4 5 6\n", "numbers in plain text"),
        (b"P6 2 2 65535\n" + bytes(22), "buffer is smaller"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image of a known format"),
        (tiff(GRAY), r"1 channels \(uint16\), expected 3 \(uint8\)"),
    ],
)
def test_unreadable_contents_are_refused_with_a_reason(contents, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        Decoder()(contents)


def test_images_larger_than_pillows_limit_are_refused(monkeypatch):
    header = numpy_file(np.zeros((2, 2, 3), "uint8"))
    bombs = [
        header[:80].replace(b"(2, 2, 3)", b"(200000, 200000, 3)") + header[80:],
        tiff(np.zeros((9, 9, 4), "uint8"), photometric="rgb"),
        archive(image=np.zeros((60, 60), "uint8")),
        saved(Image.new("RGB", (30, 30)), "PNG"),
        dicom(np.zeros((40, 40), "uint16")),
    ]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    for bomb in bombs:
        with pytest.raises(UnreadableImageError, match=r"MAX_IMAGE_PIXELS|exceeds limit"):
            Decoder()(bomb)


def write(folder, **files):
    for name, contents in files.items():
        (folder / name.replace("_", ".")).write_bytes(contents)


def test_a_folder_has_the_channels_and_the_type_of_its_files(tmp_path):
    write(tmp_path, a_tif=tiff(BANDS), b_tif=tiff(BANDS + 1), c_tif=tiff(BANDS + 2))
    source = data.from_folder(tmp_path)
    assert (source.channels, source.dtype) == (13, "uint16")
    np.testing.assert_array_equal(source[1], BANDS.transpose(1, 2, 0) + 1)


def test_grey_is_repeated_to_three_channels_unless_one_is_requested(tmp_path):
    write(tmp_path, a_tif=tiff(GRAY))
    np.testing.assert_array_equal(data.from_folder(tmp_path)[0], np.stack([GRAY] * 3, axis=-1))
    assert data.from_folder(tmp_path, channels=1)[0].shape == (6, 7, 1)


def test_16_bits_become_8_only_on_request(tmp_path):
    write(tmp_path, a_tif=tiff(GRAY))
    found = data.from_folder(tmp_path, dtype="uint8", channels=1)[0][..., 0]
    np.testing.assert_array_equal(found, GRAY // 256)
    write(tmp_path, b_png=EIGHT_BITS["PNG"])
    with pytest.raises(ValueError, match=r"`channels` and `dtype` must .*a\.tif of 3.*uint16; .*b"):
        data.from_folder(tmp_path)
    mixed = data.from_folder(tmp_path, dtype="uint16")
    np.testing.assert_array_equal(mixed[1], Decoder()(EIGHT_BITS["PNG"]).astype("uint16") * 257)


def test_a_single_file_with_other_channels_is_unreadable(tmp_path):
    for number in range(9):
        write(tmp_path, **{f"{number}_tif": tiff(BANDS + number)})
    write(tmp_path, **{"2_tif": EIGHT_BITS["PNG"]})
    source = data.from_folder(tmp_path)
    np.testing.assert_array_equal(source[2], source[3])
    [(name, reason)] = source.unreadable()
    assert name.endswith("2.tif")
    assert "3 channels (uint8), expected 13 (uint16)" in reason


def test_dropped_transparency_causes_a_warning(tmp_path, caplog):
    image = photograph("RGBA")
    write(tmp_path, a_png=saved(image, "PNG"))
    with caplog.at_level("WARNING", logger="absl"):
        data.from_folder(tmp_path)
        assert caplog.text == ""  # an opaque image loses nothing
        image.putalpha(7)
        write(tmp_path, a_png=saved(image, "PNG"))
        assert data.from_folder(tmp_path)[0].shape[-1] == 3
    assert "transparency is dropped unless `channels=4`" in caplog.text
    assert data.from_folder(tmp_path, channels=4)[0][0, 0, 3] == 7


def test_the_reason_is_the_error_of_a_custom_decoder(tmp_path):
    write(tmp_path, a_raw=b"12", b_raw=b"1")

    def decode(contents):
        first, second = contents
        return np.full((4, 4, 2), first + second, "uint8")

    source = data.from_folder(tmp_path, decode=decode)
    assert source[1][0, 0].tolist() == [99, 99]
    assert "not enough values" in source.unreadable()[0][1]
