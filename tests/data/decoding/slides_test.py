"""Slides read by OpenSlide and rasters read by GDAL are the arrays that were written."""

import numpy as np
import pytest
import tifffile

from keras_isd import data
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.decoding.part_readers import open_parts
from keras_isd.data.decoding.slides import RasterWindows, SlideWindows

pytestmark = pytest.mark.one_backend("reads files with NumPy")

COLORS = np.random.RandomState(0).randint(0, 256, (300, 400, 3)).astype("uint8")


def test_openslide_reads_the_pixels_of_each_level(tmp_path):
    pytest.importorskip("openslide", reason="the extra [slides]")
    half = np.ascontiguousarray(COLORS[::2, ::2])
    with tifffile.TiffWriter(tmp_path / "slide.tif") as file:
        options = {"tile": (64, 64), "photometric": "rgb"}
        file.write(COLORS, **options)
        file.write(half, subfiletype=1, **options)
    slide = SlideWindows(str(tmp_path / "slide.tif"))
    assert slide.sizes == [(300, 400), (150, 200)]
    np.testing.assert_array_equal(slide.read(0, 31, 77, 120, 90), COLORS[31:151, 77:167])
    np.testing.assert_array_equal(slide.read(1, 20, 44, 80, 60), half[20:100, 44:104])


def test_damaged_slides_are_unreadable(tmp_path):
    pytest.importorskip("openslide", reason="the extra [slides]")
    (tmp_path / "a.mrxs").write_bytes(bytes(500))
    with pytest.raises(UnreadableImageError):
        open_parts(str(tmp_path / "a.mrxs"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_gdal_reads_bands_windows_and_missing_pixels(tmp_path, dtype):
    rasterio = pytest.importorskip("rasterio", reason="the extra [maps]")
    bands = np.random.RandomState(1).randint(1, 250, (4, 90, 120)).astype(dtype)
    bands[:, :40, :40] = 0
    path = tmp_path / "scene.img"
    kind = {"driver": "HFA", "height": 90, "width": 120, "count": 4, "dtype": dtype, "nodata": 0}
    with rasterio.open(path, "w", **kind) as file:
        file.write(bands)
        file.build_overviews([2])
    scene = open_parts(str(path))
    assert isinstance(scene, RasterWindows)
    assert (scene.sizes, scene.channels, scene.nodata) == ([(90, 120), (45, 60)], 4, 0)
    expected = bands[:, 30:80, 20:90].transpose(1, 2, 0)
    np.testing.assert_array_equal(scene.read(0, 30, 20, 50, 70), expected)
    source = data.from_folder(tmp_path, extensions=".img")
    assert (source.channels, source.dtype) == (4, dtype)
    np.testing.assert_array_equal(source[0], bands.transpose(1, 2, 0))
    cut = data.tiles(source, 40, keep=0)
    np.testing.assert_array_equal(cut[5], bands[:, 40:80, 80:].transpose(1, 2, 0))
    kept = data.tiles(source, 40)
    assert "scene.img[0,0,40,40]" not in {name.split("/")[-1] for name in kept.names}


def test_pickled_sources_open_rasters_again(tmp_path):
    rasterio = pytest.importorskip("rasterio", reason="the extra [maps]")
    import pickle

    kind = {"driver": "HFA", "height": 30, "width": 40, "count": 1, "dtype": "uint16"}
    with rasterio.open(tmp_path / "a.img", "w", **kind) as file:
        file.write(np.arange(1200, dtype="uint16").reshape(1, 30, 40))
    cut = data.tiles(data.from_folder(tmp_path, extensions=".img"), 10, keep=0)
    again = pickle.loads(pickle.dumps(cut))
    np.testing.assert_array_equal(again[3], cut[3])
