"""Parts of large images equal slices of the whole image, for every layout of a TIFF."""

import os
import pathlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_isd.data.decoding.decoder import Decoder
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.decoding.missing_pixels import fill_missing, find_missing
from keras_isd.data.decoding.windows import (
    DecodedImage,
    TiffWindows,
    reduce_image,
)

pytestmark = pytest.mark.one_backend("reads files with NumPy")

RANDOM = np.random.RandomState(0)
COLORS = RANDOM.randint(0, 256, (90, 130, 3)).astype("uint8")
DEEP = RANDOM.randint(0, 65536, (90, 130)).astype("uint16")
STACK = RANDOM.randint(0, 999, (4, 60, 70)).astype("uint16")
OME = {"ome": True, "photometric": "minisblack"}
LAYOUTS = {
    "strips": (COLORS, {"photometric": "rgb"}),
    "tiles": (COLORS, {"photometric": "rgb", "tile": (32, 48)}),
    "compressed tiles": (
        COLORS,
        {"photometric": "rgb", "tile": (32, 48), "compression": "deflate", "predictor": True},
    ),
    "planes": (
        np.moveaxis(COLORS, 2, 0).copy(),
        {"photometric": "rgb", "planarconfig": "separate", "tile": (32, 32)},
    ),
    "JPEG": (COLORS, {"photometric": "rgb", "tile": (32, 32), "compression": "jpeg"}),
    "short strips": (DEEP, {"compression": "lzw", "rowsperstrip": 7}),
    "big-endian": (DEEP, {"byteorder": ">"}),
    "big-endian tiles": (DEEP, {"byteorder": ">", "tile": (16, 16)}),
    "BigTIFF": (DEEP, {"bigtiff": True, "tile": (64, 64)}),
    "floats": (RANDOM.randn(60, 70).astype("float32"), {"tile": (16, 16), "compression": "zstd"}),
    "OME channels": (STACK, {**OME, "metadata": {"axes": "CYX"}, "tile": (16, 16)}),
    "OME times and channels": (STACK[:, None].repeat(2, 1), {**OME, "metadata": {"axes": "TCYX"}}),
    "pages": (STACK, {"photometric": "minisblack", "metadata": None}),
    "bands": (
        np.moveaxis(STACK, 0, 2).copy(),
        {"photometric": "minisblack", "planarconfig": "contig", "tile": (16, 16)},
    ),
    "ImageJ": (STACK, {"imagej": True}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_part_of_a_tiff_equals_a_slice_of_the_decoded_image(layout, data, tmp_path_factory):
    image, options = LAYOUTS[layout]
    path = tmp_path_factory.mktemp("layout") / "image.tif"
    tifffile.imwrite(path, image, **options)
    whole = np.asarray(Decoder().read_stored(path.read_bytes()))
    whole = whole if whole.ndim == 3 else whole[..., None]
    windows = TiffWindows(str(path))
    assert windows.sizes == [whole.shape[:2]]
    assert (windows.channels, windows.dtype) == (whole.shape[2], whole.dtype)
    height, width = (data.draw(st.integers(1, length)) for length in whole.shape[:2])
    top = data.draw(st.integers(0, whole.shape[0] - height))
    left = data.draw(st.integers(0, whole.shape[1] - width))
    part = windows.read(0, top, left, height, width)
    np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])


def write_pyramid(path, image, levels=2, **options):
    """Writes an image and its reduced copies, each of half the size."""
    options = {"tile": (32, 32), "photometric": "rgb", "compression": "deflate"} | options
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(image, subifds=levels, **options)
        for level in range(1, levels + 1):
            file.write(image[:: 2**level, :: 2**level], subfiletype=1, **options)


@pytest.mark.parametrize("where", ["pages", "within"])
def test_levels_of_other_programs_are_found(tmp_path, where):
    options = {"photometric": "rgb", "tile": (32, 32), "compression": "deflate", "metadata": None}
    with tifffile.TiffWriter(tmp_path / "scene.tif") as file:
        file.write(COLORS, **options, subifds=2 if where == "within" else 0)
        for level in (COLORS[::4, ::4], COLORS[::2, ::2]):
            file.write(level, subfiletype=1, **options)
        file.write(COLORS[::2, ::2, 0] > 9, subfiletype=5, photometric="mask", metadata=None)
    windows = TiffWindows(str(tmp_path / "scene.tif"))
    assert windows.sizes == [(90, 130), (45, 65), (23, 33)]
    np.testing.assert_array_equal(windows.read(2, 0, 0, 23, 33), COLORS[::4, ::4])


def test_the_main_image_may_follow_its_thumbnail(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(DEEP[::5, ::5])
        file.write(DEEP)
    windows = TiffWindows(str(tmp_path / "a.tif"))
    np.testing.assert_array_equal(windows.read(0, 8, 9, 20, 30)[..., 0], DEEP[8:28, 9:39])


@pytest.mark.parametrize("photometric", ["miniswhite", "palette"])
def test_parts_are_not_read_without_converted_colours(tmp_path, photometric):
    colors = {"colormap": np.zeros((3, 2**16), "uint16")} if photometric == "palette" else {}
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric=photometric, **colors)
    with pytest.raises(UnreadableImageError, match="parts cannot be read"):
        TiffWindows(str(tmp_path / "a.tif"))


def test_overviews_of_gdal_are_levels(tmp_path):
    rasterio = pytest.importorskip("rasterio", reason="the extra [maps]")
    bands = np.moveaxis(COLORS, 2, 0)
    kind = {"driver": "GTiff", "height": 90, "width": 130, "count": 3, "dtype": "uint8"}
    with rasterio.open(
        tmp_path / "a.tif", "w", tiled=True, blockxsize=16, blockysize=16, **kind
    ) as file:
        file.write(bands)
        file.build_overviews([2, 4])
    windows = TiffWindows(str(tmp_path / "a.tif"))
    assert windows.sizes == [(90, 130), (45, 65), (23, 33)]
    with rasterio.open(tmp_path / "a.tif", overview_level=1) as file:
        expected = np.moveaxis(file.read(), 0, 2)
    np.testing.assert_array_equal(windows.read(2, 0, 0, 23, 33), expected)


def test_each_level_of_a_pyramid_is_read(tmp_path):
    write_pyramid(tmp_path / "slide.tif", COLORS)
    windows = TiffWindows(str(tmp_path / "slide.tif"))
    assert windows.sizes == [(90, 130), (45, 65), (23, 33)]
    np.testing.assert_array_equal(windows.read(1, 3, 5, 30, 40), COLORS[::2, ::2][3:33, 5:45])
    np.testing.assert_array_equal(windows.read(2, 0, 0, 23, 33), COLORS[::4, ::4])


def test_missing_tiles_are_zero_or_the_value_that_marks_missing_pixels(tmp_path):
    for name, tags, value in (("zero", [], 0), ("marked", [(42113, "s", 0, "-9999", True)], -9999)):
        path = tmp_path / f"{name}.tif"
        options = {"shape": (64, 64), "dtype": "int16", "tile": (32, 32), "extratags": tags}
        tifffile.imwrite(path, iter([b""] * 4), **options)
        windows = TiffWindows(str(path))
        assert (windows.read(0, 20, 20, 30, 30) == value).all()
        assert windows.nodata == (value or None)


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (COLORS, {"photometric": "rgb", "extratags": [(274, "H", 1, 6, True)]}),
        (DEEP.astype("uint8"), {"photometric": "miniswhite"}),
        (STACK, {"volumetric": True, "tile": (2, 16, 16), "photometric": "minisblack"}),
        (np.zeros((9, 12, 5), "uint16"), {"photometric": "minisblack"}),
    ],
    ids=["turned", "white is 0", "volume", "channels as pages"],
)
def test_layouts_whose_parts_have_another_meaning_are_refused(image, options, tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", image, **options)
    with pytest.raises(UnreadableImageError, match="parts cannot be read"):
        TiffWindows(str(tmp_path / "image.tif"))


@pytest.mark.parametrize("options", [{"tile": (32, 32), "compression": "deflate"}, {}])
def test_a_truncated_file_gives_an_error(options, tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, DEEP, **options)
    path.write_bytes(path.read_bytes()[: -len(DEEP)])
    with pytest.raises(UnreadableImageError, match="truncated"):
        TiffWindows(str(path)).read(0, 0, 0, 90, 130)


def test_the_means_of_cells_are_those_of_their_known_pixels():
    image = np.arange(24.0).reshape(4, 6, 1)
    image[0, 0] = np.nan
    means, shares = reduce_image(DecodedImage(image), 2, 3)
    np.testing.assert_allclose(means[..., 0], [[14 / 3, 5.5, 7.5], [15.5, 17.5, 19.5]])
    np.testing.assert_allclose(shares, [[0.75, 1, 1], [1, 1, 1]])


def test_a_reduced_image_is_the_same_in_strips(monkeypatch):
    image = DecodedImage(COLORS)
    whole = reduce_image(image, 18, 26)
    monkeypatch.setattr("keras_isd.data.decoding.windows.BLOCK_PIXELS", 1)
    np.testing.assert_allclose(reduce_image(image, 18, 26)[0], whole[0])
    np.testing.assert_allclose(whole[0][0, 0], COLORS[:5, :5].mean(axis=(0, 1)))


def test_missing_pixels_become_the_median_of_the_known_ones():
    image = np.array([[[1.0, 5], [np.nan, 5]], [[3, 7], [2, 9]]], "float32")
    assert find_missing(image, None).tolist() == [[False, True], [False, False]]
    assert fill_missing(image, None)[0, 1].tolist() == [2, 7]
    marked = np.array([[[7], [-1]], [[9], [-1]]], "int16")
    assert fill_missing(marked, -1.0)[..., 0].tolist() == [[7, 8], [9, 8]]
    assert fill_missing(marked, None) is marked
    assert (fill_missing(np.full((2, 2, 1), np.nan, "float32"), None) == 0).all()


def test_a_nodata_tag_that_is_no_number_is_ignored(tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, DEEP, extratags=[(42113, "s", 0, "none", True)])
    assert TiffWindows(str(path)).nodata is None


@pytest.mark.skipif(not pathlib.Path("/proc/self/fd").is_dir(), reason="Linux lists open files")
def test_all_pages_share_one_open_file(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK.repeat(50, 0), photometric="minisblack", metadata=None)
    windows = TiffWindows(str(path))
    before = len(list(pathlib.Path("/proc/self/fd").iterdir()))
    part = windows.read(0, 3, 4, 20, 30)
    assert len(list(pathlib.Path("/proc/self/fd").iterdir())) <= before + 1
    np.testing.assert_array_equal(part, np.moveaxis(STACK.repeat(50, 0)[:, 3:23, 4:34], 0, 2))


@pytest.mark.skipif(not hasattr(os, "pread"), reason="Windows does not fork")
def test_forked_processes_do_not_share_a_position(tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, DEEP, tile=(16, 16))
    windows = TiffWindows(str(path))
    position = windows._file.tell()
    windows.read(0, 0, 0, 90, 130)
    assert windows._file.tell() == position
