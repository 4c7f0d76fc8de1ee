"""Features as points of a plane."""

import numpy as np

from keras_isd.similarity.exact import unit_rows
from keras_isd.validation.features import check_features
from keras_isd.visualization.colors import class_colors
from keras_isd.visualization.figure import new_grid, save
from keras_isd.visualization.plane import pca_points, tsne_points

METHODS = ("pca", "tsne")
LINES = 16  # of a column of the legend, as many as a panel is high


def plot_embedding(features, labels=None, method="tsne", class_names=None, seed=0, path=None):
    """Draws features as points of a plane, in one panel for each epoch if there are several.

    Rows are divided by their length first, since it is their directions that are compared in
    training. All panels have the same images, and colours tell the classes.

    Args:
        features: `(N, F)` array, or a dict from titles to such arrays, such as of epochs, in whose
            order they are drawn.
        labels: `(N,)` integers, or None for one colour.
        method: `"tsne"`, neighbours near each other, by scikit-learn; or `"pca"`, the two
            directions of the largest variance, of the last panel, in which all are drawn.
        class_names: list of str for the legend, by label; or None.
        seed: int, of t-SNE.
        path: where to save the figure, or None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib, or for t-SNE scikit-learn, is not installed.
        ValueError: if `method` is another, features are not finite or differ in number.

    Source: van der Maaten and Hinton, "Visualizing data using t-SNE", 2008.

    Example:

    >>> features = np.random.RandomState(0).randn(30, 8)
    >>> figure = keras_isd.visualization.plot_embedding(
    ...     {"epoch 1": features, "epoch 2": 2 * features}, np.arange(30) % 3, method="pca"
    ... )
    >>> [axes.get_title() for axes in figure.axes]
    ['epoch 1', 'epoch 2']
    """
    panels = features if isinstance(features, dict) else {"": features}
    for title, rows in panels.items():
        check_features(**{f"features {title}".strip(): rows})
    counts = {len(rows) for rows in [*panels.values(), labels] if rows is not None}
    if len(counts) > 1:
        raise ValueError(f"All features and labels must be of the same images. Received: {counts}")
    if method not in METHODS:
        raise ValueError(f"Argument `method` must be one of {METHODS}. Received: {method=}")
    figure, [axes] = new_grid(1, len(panels), 3.4, 3.4, ticks=False)
    points = _points({title: unit_rows(rows) for title, rows in panels.items()}, method, seed)
    for axis, (title, (x, y)) in zip(axes, points.items(), strict=True):
        classes = list(_classes(labels, len(x), class_names))
        for (name, rows), color in zip(classes, class_colors(len(classes))):
            axis.scatter(x[rows], y[rows], s=4, linewidths=0, label=name, color=color)
        axis.set(title=title)
    if labels is not None:
        _add_legend(figure, axes[-1])
    save(figure, path)
    return figure


def _points(panels, method, seed):
    """Two coordinates `(2, N)` of each panel's rows."""
    if method == "tsne":
        return {title: tsne_points(rows, seed) for title, rows in panels.items()}
    return pca_points(panels)


def _add_legend(figure, axis):
    """Adds the classes beside the last panel, and makes the figure as much wider."""
    columns = -(-len(axis.collections) // LINES)
    place = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
    legend = axis.legend(frameon=False, markerscale=3, ncols=columns, **place)
    legend.set_in_layout(False)  # until there is room
    figure.draw_without_rendering()  # before which its width is not known
    legend.set_in_layout(True)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width + legend.get_window_extent().width / figure.dpi, height)


def _classes(labels, count, names):
    """Yields the name and the rows of each class."""
    if labels is None:
        yield None, np.arange(count)
        return
    for label in np.unique(labels):
        yield names[label] if names else str(label), np.flatnonzero(np.asarray(labels) == label)
