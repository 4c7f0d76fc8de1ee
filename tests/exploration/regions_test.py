"""Tiles as polygons: in pixels, in the coordinates of a map, and the errors."""

import json

import numpy as np
import pytest
import tifffile

from keras_isd import data, exploration
from tests.data.decoding.windows_test import write_pyramid

pytestmark = pytest.mark.one_backend("polygons are written without a backend")

geopandas = pytest.importorskip("geopandas", reason="GeoPandas writes polygons")
rasterio = pytest.importorskip("rasterio", reason="rasterio reads coordinates of maps")

IMAGE = np.random.RandomState(0).randint(0, 256, (60, 80, 3)).astype("uint8")


def write_scene(path, left=500_000, top=5_300_000, crs="EPSG:32632"):
    """Writes a scene whose pixels have ten metres, north up."""
    transform = rasterio.transform.from_origin(left, top, 10, 10)
    with rasterio.open(
        path, "w", driver="GTiff", width=80, height=60, count=3, dtype="uint8",
        crs=crs, transform=transform,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(IMAGE, 2, 0))


def test_polygons_of_slides_are_in_pixels_of_the_full_resolution(tmp_path):
    write_pyramid(tmp_path / "slide.tif", IMAGE)
    tiles = data.tiles(data.from_folder(tmp_path), 20, level=1, keep=0)
    exploration.write_regions(tmp_path / "r.geojson", tiles, cluster=[4, 5, 6, 7])
    found = json.loads((tmp_path / "r.geojson").read_text())["features"]
    assert [one["properties"]["cluster"] for one in found] == [4, 5, 6, 7]
    assert found[1]["properties"]["image"] == str(tmp_path / "slide.tif")
    corners = found[1]["geometry"]["coordinates"][0]
    assert corners[:4] == [[40, 0], [80, 0], [80, 40], [40, 40]]


def test_polygons_of_a_georeferenced_scene_are_in_its_coordinates(tmp_path):
    write_scene(tmp_path / "scene.tif")
    tiles = data.tiles(data.from_folder(tmp_path), 40, keep=0)
    exploration.write_regions(tmp_path / "r.gpkg", tiles, score=np.array([0.5, 1.5, 2.5, 3.5]))
    found = geopandas.read_file(tmp_path / "r.gpkg")
    assert found.crs == "EPSG:32632"
    assert found.score.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert found.geometry[1].bounds == (500_400, 5_299_600, 500_800, 5_300_000)
    assert found.geometry[2].bounds == (500_000, 5_299_400, 500_400, 5_299_800)


def test_geojson_has_degrees_also_if_scenes_differ_in_their_system(tmp_path):
    write_scene(tmp_path / "a.tif")
    write_scene(tmp_path / "b.tif", crs="EPSG:32633")  # six degrees further east
    tiles = data.tiles(data.from_folder(tmp_path), 60, keep=0)
    exploration.write_regions(tmp_path / "r.geojson", tiles)
    found = json.loads((tmp_path / "r.geojson").read_text())["features"]
    longitude, latitude = np.array([one["geometry"]["coordinates"][0][0] for one in found]).T
    # The central meridians of the two zones are at 9 and 15 degrees.
    np.testing.assert_allclose(longitude, [9, 9.0027, 15, 15.0027], atol=1e-4)
    np.testing.assert_allclose(latitude, 47.853, atol=1e-3)


def test_wrong_arguments_are_named(tmp_path):
    tiles = data.tiles(data.from_arrays(IMAGE[None]), 20, keep=0)
    with pytest.raises(ValueError, match=r"`path` must end in.*r\.csv"):
        exploration.write_regions(tmp_path / "r.csv", tiles)
    with pytest.raises(ValueError, match=r"`cluster` must have a value for each tile.*12 tiles"):
        exploration.write_regions(tmp_path / "r.gpkg", tiles, cluster=[1])
    with pytest.raises(ValueError, match=r"`source` must be of tiles.*1 images"):
        exploration.write_regions(tmp_path / "r.gpkg", data.from_arrays(IMAGE[None]))
    write_scene(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", IMAGE, photometric="rgb")
    mixed = data.tiles(data.from_folder(tmp_path), 60, keep=0)
    with pytest.raises(ValueError, match=r"georeferenced or none.*b\.tif"):
        exploration.write_regions(tmp_path / "r.gpkg", mixed)
