"""Slides and stacks on the command line: from a folder to features of tiles or slices."""

import json

import numpy as np
import pytest
import tifffile

import keras_isd
from keras_isd.data.sources.tiles import parse_name
from tests.command.command_test import command, read
from tests.data.sources.tiles_test import make_slide

pytestmark = [pytest.mark.one_backend("the command line is the same"), pytest.mark.slow]

pytest.importorskip("bokeh", reason="Bokeh draws the map")
pytest.importorskip("geopandas", reason="GeoPandas writes polygons")
pytest.importorskip("sklearn", reason="scikit-learn computes clusters")


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    for seed in (0, 1):
        image, _ = make_slide(seed)
        tifffile.imwrite(folder / f"{seed}.tif", image, tile=(256, 256), photometric="rgb")
    return folder


def test_slides_become_features_clusters_and_maps_of_their_tiles(slides, tmp_path):
    run, table = tmp_path / "run", tmp_path / "tiles.parquet"
    options = ["--tile=64", "--stride=48", "--size=16", "--epochs=1", "--batch_size=32"]
    status, printed = command("train", slides, f"--output={run}", *options)
    assert status == 0, printed
    count = int(printed.split(" tiles of 64 px in 2 images")[0].split()[-1].replace(",", ""))
    assert 100 < count < 2 * 21**2
    assert "Large images: clusters of tiles" in (run / "report.html").read_text()
    assert len(list((run / "foreground").iterdir())) == 2
    # The run remembers how slides are cut, and so do the names of the tiles.
    status, printed = command("embed", slides, f"--model={run}", f"--output={table}")
    assert status == 0, printed
    assert f"{count:,} images, " in printed
    found = keras_isd.evaluation.load_features(table)
    assert {parse_name(name)[0] for name in found.names} == {f"{slides}/{n}.tif" for n in (0, 1)}
    file, (left, top, width, height, level) = parse_name(found.names[7])
    assert (width, height, level) == (64, 64, 0)
    part = tifffile.imread(file)[top : top + height, left : left + width]
    np.testing.assert_array_equal(keras_isd.data.from_paths(found.names[7:8])[0], part)
    clusters = tmp_path / "clusters.csv"
    regions = tmp_path / "clusters.geojson"
    options = ["--clusters=3", f"--output={clusters}", f"--regions={regions}"]
    assert command("cluster", table, *options)[0] == 0
    drawn = [feature["properties"] for feature in json.loads(regions.read_text())["features"]]
    assert [(x["tile"], str(x["cluster"])) for x in drawn] == [
        (line["name"], line["cluster"]) for line in read(clusters)
    ]
    assert len(read(clusters)) == count
    assert clusters.with_suffix(".jpg").stat().st_size > 10_000
    page = tmp_path / "slides.html"
    assert command("explore", table, "--method=pca", f"--output={page}")[0] == 0
    assert "Large images: clusters of tiles, and unusual tiles in frames" in page.read_text()


def test_movies_become_features_of_their_frames(tmp_path):
    movies, run, table = tmp_path / "movies", tmp_path / "run", tmp_path / "f.npz"
    movies.mkdir()
    for number, frames in enumerate((9, 14)):
        stack = np.random.RandomState(number).randint(0, 4000, (frames, 2, 20, 20)).astype("uint16")
        path = movies / f"{number}.ome.tif"
        tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "TCYX"})
    options = ["--size=12", "--epochs=1", "--batch_size=10"]
    status, printed = command("train", movies, f"--output={run}", "--each=T", *options)
    assert status == 0, printed
    assert "23 slices along T in 2 files" in printed
    assert "23 images, 2 channels, uint16" in printed
    status, printed = command("embed", movies, f"--model={run}", f"--output={table}")
    assert status == 0, printed
    found = keras_isd.evaluation.load_features(table)
    assert found.names[10] == f"{movies}/1.ome.tif[T=1]"
    page = tmp_path / "movies.html"
    assert command("explore", table, "--method=pca", f"--output={page}")[0] == 0
    assert "1.ome.tif[T=1]" in page.read_text()
    status, printed = command("embed", movies, f"--model={run}", "--tile=8")
    assert (status, "--tile and --each must not" in printed) == (2, True)


def test_axes_that_become_channels_are_mentioned(tmp_path):
    movies = tmp_path / "movies"
    movies.mkdir()
    for number in range(3):
        stack = np.zeros((4, 20, 20), "uint16")
        path = movies / f"{number}.ome.tif"
        tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "TYX"})
    status, printed = command("train", movies, f"--output={tmp_path / 'run'}")
    assert status == 1  # three images are too few
    assert "0.ome.tif has the axes T (4), which are all channels of one image" in printed
    assert "--each=T would make an image of each T" in printed


def test_options_of_tiles_need_a_size(slides, tmp_path, capsys):
    status, printed = command("train", slides, f"--output={tmp_path}/run", "--keep=0.5")
    assert status == 2
    assert "--keep needs --tile" in printed
    status, printed = command("train", slides, f"--output={tmp_path}/run", "--project=Z")
    assert (status, "--project needs --each" in printed) == (2, True)
    assert not (tmp_path / "run").exists()


def test_large_images_that_are_not_cut_are_said_to_be_one_row_each(tmp_path):
    source = keras_isd.data.from_arrays(np.zeros((8, 2000, 2000, 1), "uint8"), channels=1)
    settings = keras_isd.training.choose_settings(source)
    assert "each is one row; --tile=256 would cut them" in settings.reasons["size"]
