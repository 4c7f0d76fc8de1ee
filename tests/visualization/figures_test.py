"""Figures of clusters, embeddings and the history of a run."""

import base64
import re

import keras
import numpy as np
import pytest
from keras import ops

import keras_isd
from keras_isd import visualization
from keras_isd.exploration.clusters import cluster_rows
from keras_isd.visualization.neighbors import nearest_anchors

pytestmark = pytest.mark.one_backend("figures are drawn by matplotlib")

pytest.importorskip("matplotlib", reason="matplotlib draws the figures")
pytest.importorskip("sklearn", reason="scikit-learn computes k-means and t-SNE")


def three_directions(count=30, spread=0.05):
    random = np.random.RandomState(0)
    labels = np.repeat([0, 1, 2], [count // 2, count // 3, count - count // 2 - count // 3])
    lengths = random.uniform(0.1, 10, (count, 1))
    return lengths * (np.eye(3)[labels] + spread * random.randn(count, 3)), labels


def test_each_row_is_a_cluster_with_its_middle_first_and_the_largest_on_top():
    features, labels = three_directions()
    rows = cluster_rows(features, clusters=3)
    assert [set(labels[r]) for r in rows] == [{0}, {1}, {2}]
    assert sorted(np.concatenate(rows).tolist()) == list(range(30))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for r in rows:
        distances = np.linalg.norm(unit[r] - unit[r].mean(axis=0), axis=1)
        assert (np.diff(distances) >= -1e-6).all()


def test_a_heat_map_spreads_over_its_image_and_is_strongest_at_its_maximum():
    images = [np.zeros((20, 40, 3), "uint8"), np.zeros((8, 8, 1), "uint16")]
    heat = np.array([[1.0, 2.0], [3.0, 5.0]])
    figure = visualization.plot_heat_maps(images, [heat, heat], (2, 5), ["a", "b"], columns=1)
    alone, drawn = figure.axes[:2]
    assert len(figure.axes) == 4
    assert alone.get_title() == "a"
    assert drawn.images[1].get_extent() == [0, 40, 20, 0]
    np.testing.assert_allclose(drawn.images[1].get_array(), [[0, 0], [1 / 3, 1]])
    np.testing.assert_allclose(drawn.images[1].get_alpha(), [[0, 0], [0.2, 0.6]])
    with pytest.raises(ValueError, match=r"one map for each .*Received: 1 maps, 2 images"):
        visualization.plot_heat_maps(images, [heat])


def test_clusters_are_drawn_as_they_are_found(tmp_path):
    features, _ = three_directions()
    numbers = np.arange(30, dtype="uint8")[:, None, None, None]
    images = np.broadcast_to(numbers * 8, (30, 4, 4, 3))
    path = tmp_path / "clusters.png"
    figure = visualization.plot_clusters(images, features, clusters=3, columns=12, path=path)
    lines = np.reshape(figure.axes, (3, 12))
    for line, rows in zip(lines, cluster_rows(features, 3), strict=True):
        assert line[0].get_ylabel() == str(len(rows))
        drawn = [axis.images[0].get_array()[0, 0, 0] * 255 / 8 for axis in line if axis.images]
        np.testing.assert_allclose(drawn, rows[:12], atol=1e-3)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_points_of_a_class_lie_together(method, tmp_path):
    features, labels = three_directions(60, spread=0.02)
    path = tmp_path / "points.png"
    figure = visualization.plot_embedding(
        features, labels, method, class_names=["a", "b", "c"], path=path
    )
    [axis] = figure.axes
    points = [collection.get_offsets() for collection in axis.collections]
    assert [len(p) for p in points] == [30, 20, 10]
    means = np.array([p.mean(axis=0) for p in points])
    for own, p in enumerate(points):
        distances = np.linalg.norm(p[:, None] - means, axis=2)
        assert (distances.argmin(axis=1) == own).all()
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b", "c"]
    assert path.stat().st_size > 1000


def size_in_inches(axis):
    axis.figure.draw_without_rendering()
    return axis.get_window_extent().size / axis.figure.dpi


def test_a_legend_of_many_classes_does_not_shrink_the_map():
    random, labels = np.random.RandomState(0), np.arange(200) % 40
    features, names = random.randn(200, 4), [f"class {label}" for label in range(40)]
    [axis] = visualization.plot_embedding(features, labels, "pca", class_names=names).axes
    [alone] = visualization.plot_embedding(features, method="pca").axes
    np.testing.assert_allclose(size_in_inches(axis), size_in_inches(alone), rtol=0.05)
    legend, figure = axis.get_legend().get_window_extent(), axis.figure.bbox
    assert figure.x0 <= legend.x0 < legend.x1 <= figure.x1 + 1
    assert figure.y0 <= legend.y0 < legend.y1 <= figure.y1
    colors = {tuple(collection.get_facecolor()[0]) for collection in axis.collections}
    assert len(colors) == 40


def test_all_panels_of_pca_have_the_same_projection():
    features, _ = three_directions()
    turned = features[:, [1, 2, 0]]
    figure = visualization.plot_embedding({"turned": turned, "last": features}, method="pca")
    first, last = (axis.collections[0].get_offsets() for axis in figure.axes)
    alone = visualization.plot_embedding(features, method="pca").axes[0].collections[0]
    np.testing.assert_allclose(last, alone.get_offsets(), atol=1e-5)
    assert not np.allclose(first, last, atol=0.1)


@pytest.mark.parametrize("value", [0, 0.3])
def test_features_of_a_collapsed_network_are_drawn_as_one_point(value):
    for method in ("pca", "tsne"):
        figure = visualization.plot_embedding(np.full((20, 8), value, "float32"), method=method)
        points = figure.axes[0].collections[0].get_offsets()
        np.testing.assert_allclose(points, np.zeros((20, 2)), atol=1e-6)


def test_history_draws_the_measured_values_by_epoch(tmp_path):
    history = {
        "loss": [4.0, 5.0, 3.0, 2.0, 1.0],
        "knn_student": [0.1, 0.2, 0.4],
        "knn_teacher": [0.2, 0.3, 0.5],
        "something_else": [1.0] * 5,
    }
    figure = visualization.plot_history(history, tmp_path / "history.png")
    loss, knn = figure.axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 4], [2, 5], [3, 3], [4, 2], [5, 1]]
    assert [line.get_label() for line in knn.lines] == ["student", "teacher"]
    assert knn.lines[1].get_xydata().tolist() == [[1, 0.2], [3, 0.3], [5, 0.5]]
    assert (tmp_path / "history.png").stat().st_size > 1000


def test_a_long_history_is_in_rows_of_four_with_whole_epochs():
    names = ("loss", "teacher_entropy", "purity", "embedding_std", "effective_rank")
    history = {name: [3.0, 2.0] for name in (*names, "knn_student", "linear_student")}
    figure = visualization.plot_history(history)
    assert len(figure.axes) == 7
    assert figure.get_size_inches()[0] <= 13
    figure.draw_without_rendering()
    assert len({round(axis.get_position().y0, 2) for axis in figure.axes}) == 2
    assert all(tick == int(tick) for tick in figure.axes[0].get_xticks())


@pytest.fixture
def trained():
    """A model whose queue of 16 holds the images 4 to 19 of the 20 that it was trained on."""
    keras.utils.set_random_seed(0)
    images = np.random.RandomState(0).randint(0, 256, (20, 8, 8, 3)).astype("uint8")
    model = keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((8, 8, 3), filters=(8,)), queue_size=16, queue_indices=True
    )
    model.compile(keras_isd.optimizers.SGD(0.0))
    views = images.astype("float32") / 255
    batches = {"query": views, "key": views, "index": np.arange(20)}
    model.fit(batches, batch_size=4, shuffle=False, verbose=0)
    return model, batches, images


def test_neighbors_are_the_anchors_with_the_teachers_largest_weights(trained, tmp_path):
    model, batches, images = trained
    assert sorted(ops.convert_to_numpy(model.queue.indices).tolist()) == list(range(4, 20))
    indices, weights = nearest_anchors(model, batches["key"][5:7], 16)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)  # over the whole queue
    assert (np.diff(weights) <= 0).all()
    similarity = ops.convert_to_numpy(
        ops.matmul(model.embed_key(batches["key"][5:7]), ops.transpose(model.queue.embeddings))
    )
    expected = np.exp((similarity.max(axis=1) - similarity.min(axis=1)) / 0.01)
    np.testing.assert_allclose(weights[:, 0] / weights[:, -1], expected, rtol=1e-2)

    batch = {name: views[5:7] for name, views in batches.items()}
    figure = visualization.plot_neighbors(
        model, batch, images, neighbors=3, statistics=((0.0,) * 3, (1.0,) * 3),
        path=tmp_path / "neighbors.png",
    )  # fmt: skip
    lines = np.reshape(figure.axes, (2, 5))
    for row, line in enumerate(lines):
        np.testing.assert_allclose(line[0].images[0].get_array(), images[5 + row] / 255, atol=1e-6)
        for axis, index, weight in zip(line[2:], indices[row], weights[row]):
            np.testing.assert_allclose(axis.images[0].get_array(), images[index] / 255, atol=1e-6)
            assert axis.get_title() == f"{weight:.2f}"
    assert (tmp_path / "neighbors.png").stat().st_size > 1000


def test_neighbors_need_a_queue_with_image_indices(trained):
    model, batches, _ = trained
    plain = keras_isd.ISDModel(model.student_backbone, queue_size=4)
    with pytest.raises(ValueError, match=r"`model` must .*Received: .*queue_indices=False"):
        nearest_anchors(plain, batches["key"][:1], 2)
    fresh = keras_isd.ISDModel(model.student_backbone, queue_size=4, queue_indices=True)
    with pytest.raises(ValueError, match="with_index=True"):
        nearest_anchors(fresh, batches["key"][:1], 2)
    with pytest.raises(ValueError, match=r"index.*integers.*float32"):
        model.fit({**batches, "index": np.zeros(20, "float32")}, verbose=0)


def test_a_report_is_one_self_contained_page(tmp_path):
    figure = visualization.plot_history({"loss": [2.0, 1.0]})
    path = tmp_path / "report.html"
    tables = {"k-NN": [["", "top-1"], ["<student>", 0.51234], ["count", 3]]}
    visualization.write_report(path, "A & B", {"seed": 1}, tables, {"Course": figure})
    page = path.read_text()
    assert "<title>A &amp; B</title>" in page
    assert "<tr><td>&lt;student&gt;</td><td>0.512</td></tr>" in page
    assert "<tr><td>count</td><td>3</td></tr>" in page
    assert "<dt>seed</dt><dd>1</dd>" in page
    [picture] = re.findall(r'<img alt="Course" src="data:image/png;base64,([^"]+)">', page)
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert not re.search(r"https?:|<script|@import|url\(", page)


def test_bad_input_is_rejected():
    features, labels = three_directions()
    with pytest.raises(ValueError, match=r"`history`.*Received: .'accuracy'"):
        visualization.plot_history({"accuracy": [1.0]})
    with pytest.raises(ValueError, match=r"`method`.*Received: method='umap'"):
        visualization.plot_embedding(features, method="umap")
    with pytest.raises(ValueError, match=r"features and labels must .*Received: \{"):
        visualization.plot_embedding(features, labels[:-1])
    with pytest.raises(ValueError, match=r"`features epoch 1` must be finite"):
        visualization.plot_embedding({"epoch 1": features * np.nan})
    with pytest.raises(ValueError, match=r"`clusters`.*clusters=31"):
        visualization.plot_clusters(np.zeros((30, 2, 2, 3)), features, clusters=31)
    with pytest.raises(ValueError, match="30 features, 29 images"):
        visualization.plot_clusters(np.zeros((29, 2, 2, 3)), features)


def test_a_csv_log_is_read_without_missing_values(tmp_path):
    log = tmp_path / "run.csv"
    log.write_text("epoch,knn_student,loss,val_loss\n0,NA,3.0,1\n1,,2.5,1\n2,0.5,nan,1\n")
    found = visualization.read_csv_log(log)
    assert found == {"epoch": [0.0, 1.0, 2.0], "knn_student": [0.5], "loss": [3.0, 2.5]}
    assert [axes.get_title() for axes in visualization.plot_history(found).axes] == [
        "loss, nats",
        "k-NN accuracy",
    ]


def test_images_of_sixteen_bits_are_drawn_in_one_range():
    dark, light = (np.full((6, 6, 1), value, "uint16") for value in (1000, 3000))
    light[0, 0] = dark[0, 0] = 2000
    figure = visualization.plot_image_rows([dark, light], [[0, 1]])
    shown = [axis.images[0].get_array()[..., 0] for axis in figure.axes]
    assert [picture[3, 3] for picture in shown] == [0, 1]
    assert [picture[0, 0] for picture in shown] == [0.5, 0.5]
    # With many channels, such as bands of a satellite, each has its own range.
    bands = np.stack([np.arange(36).reshape(6, 6) * 10**band for band in range(6)], axis=-1)
    figure = visualization.plot_image_rows([bands.astype("float32")], [[0]])
    picture = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(picture[..., 0], picture[..., 2], atol=1e-5)
    heat = visualization.plot_heat_maps([dark, light], np.random.rand(2, 3, 3))
    assert [axis.images[0].get_array()[3, 3, 0] for axis in heat.axes[::2]] == [0, 1]


def test_views_of_normalised_images_are_drawn_without_statistics():
    query = np.stack([np.full((4, 4, 1), value, "float32") for value in (-3, 5)])
    figure = visualization.plot_views([{"query": query, "key": query}], statistics=None)
    assert [axis.images[0].get_array()[0, 0, 0] for axis in figure.axes] == [0, 1, 0, 1]
