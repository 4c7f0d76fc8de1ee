"""Large images with their tiles: colours and frames lie where the tiles are."""

import numpy as np
import pytest

from keras_isd import data, visualization
from keras_isd.visualization.figure import class_colors

pytestmark = pytest.mark.one_backend("figures are drawn by matplotlib")

pytest.importorskip("matplotlib", reason="matplotlib draws the figures")

IMAGES = np.random.RandomState(0).randint(0, 256, (3, 40, 60, 3)).astype("uint8")


@pytest.fixture
def tiles():
    return data.tiles(data.from_arrays(IMAGES), 20, keep=0)


def collections(axis):
    """The filled tiles and the frames of a scene: corners, and colours."""
    found = [c for c in axis.collections if len(c.get_paths())]
    corners = [[path.vertices[:4].tolist() for path in c.get_paths()] for c in found]
    return corners, found


def test_each_tile_has_the_colour_of_its_cluster_at_its_place(tiles):
    clusters = np.arange(18) % 3
    clusters[1] = -1
    axis = visualization.plot_scenes(tiles, clusters, outliers=[2]).axes[0]
    (filled, frames), (fill, frame) = collections(axis)
    assert len(filled) == 5  # the tile of no cluster stays clear
    assert filled[0] == [[0, 0], [20, 0], [20, 20], [0, 20]]
    assert filled[1] == [[40, 0], [60, 0], [60, 20], [40, 20]]
    colors = (np.round(fill.get_facecolor()[:, :3] * 255)).astype(int).tolist()
    first, _, third = ([int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in class_colors(3))
    assert colors[:2] == [first, third]
    assert frames == [filled[1]]
    assert len(frame.get_facecolor()) == 0
    drawn = axis.images[0]
    assert drawn.get_extent() == [0, 60, 40, 0]
    np.testing.assert_allclose(drawn.get_array(), IMAGES[0] / 255, atol=1e-6)


def test_the_images_with_the_most_tiles_are_drawn(tiles):
    part = tiles.subset([0, 6, 7, 8, 12, 13])
    figure = visualization.plot_scenes(part, scenes=2)
    assert [axis.get_title() for axis in figure.axes] == ["row 1, 3 tiles", "row 2, 2 tiles"]


def test_a_large_image_is_reduced_to_a_thousand_pixels():
    image = np.zeros((1, 3000, 1500, 1), "uint16")
    image[0, :1500] = 4000
    tiles = data.tiles(data.from_arrays(image, channels=1), 500, keep=0)
    drawn = visualization.plot_scenes(tiles).axes[0].images[0].get_array()
    assert drawn.shape == (1000, 500, 3)
    assert drawn[:499].min() == 1
    assert drawn[501:].max() == 0


def test_wrong_arguments_are_named(tiles):
    with pytest.raises(ValueError, match=r"`source` must be of tiles.*Received: 3 images"):
        visualization.plot_scenes(data.from_arrays(IMAGES))
    with pytest.raises(ValueError, match=r"`clusters` must have an integer for each tile.*\(5,\)"):
        visualization.plot_scenes(tiles, np.zeros(5, int))
