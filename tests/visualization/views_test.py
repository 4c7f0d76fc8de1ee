import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib draws the figures")
import keras_isd

STATISTICS = ((0.5, 0.25, 0.0), (0.5, 0.5, 0.5))


def batch(count=3):
    query = np.zeros((count, 4, 4, 3), "float32")
    query[1] = 0.5  # 0.75, 0.5, 0.25 before it was normalised
    return {"query": query, "key": query + 9.0}


def test_views_are_drawn_as_they_were_before_normalisation(tmp_path):
    figure = keras_isd.visualization.plot_views(
        [(batch(), np.arange(3))], images=2, statistics=STATISTICS, path=tmp_path / "views.png"
    )
    assert len(figure.axes) == 4
    pictures = [axis.images[0].get_array() for axis in figure.axes]
    np.testing.assert_allclose(pictures[1][0, 0], [0.75, 0.5, 0.25])
    np.testing.assert_allclose(pictures[2], 1.0)  # out of range, so clipped
    assert [axis.get_ylabel() for axis in figure.axes] == ["query", "", "key", ""]
    assert (tmp_path / "views.png").stat().st_size > 1000


def test_originals_come_first():
    originals = np.full((3, 6, 6, 3), 51, "uint8")
    figure = keras_isd.visualization.plot_views([batch()], originals=originals)
    assert len(figure.axes) == 9
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), 0.2)


def test_several_queries_are_rows_and_features_of_a_teacher_are_not_drawn():
    several = np.stack([batch()["query"], batch()["key"]], axis=1)
    features = np.zeros((3, 7), "float32")
    figure = keras_isd.visualization.plot_views([{"query": several, "key": features}])
    assert [axis.get_ylabel() for axis in figure.axes[::3]] == ["query 0", "query 1"]
