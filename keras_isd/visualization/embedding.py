"""Features as points in a plane: t-SNE, principal components, UMAP."""

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.similarity.exact import unit_rows
from keras_isd.validation.features import check_features
from keras_isd.visualization.figure import class_colors, new_grid, save

METHODS = ("pca", "tsne")
LEGEND_ROWS = 16  # in a column of the legend, as many as fit the height of a panel


def plot_embedding(features, labels=None, method="tsne", class_names=None, seed=0, path=None):
    """Draws features as points in a plane, with one panel for each array of features.

    Rows are normalised first, since training compares directions. All panels show the same images;
    colours show the classes.

    Args:
        features: `(N, F)` array, or a dict from titles to such arrays, for example by epoch, drawn
            in this order.
        labels: `(N,)` integers. Defaults to None: one colour.
        method: `"tsne"` (scikit-learn), which keeps neighbours close; or `"pca"`, the two
            directions of the largest variance of the last panel, used for all. Defaults to
            `"tsne"`.
        class_names: list of str for the legend, by label. Defaults to None.
        seed: int, seed of t-SNE. Defaults to 0.
        path: where to save the figure, or None. Defaults to None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib, or for t-SNE scikit-learn, is not installed.
        ValueError: if `method` is unknown, features are not finite, or their numbers differ.

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
        raise ValueError(f"All features and labels must have the same length. Received: {counts}")
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
    """Adds a legend next to the last panel, and widens the figure for it."""
    columns = -(-len(axis.collections) // LEGEND_ROWS)
    place = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
    legend = axis.legend(frameon=False, markerscale=3, ncols=columns, **place)
    legend.set_in_layout(False)  # until the figure is wider
    figure.draw_without_rendering()  # gives the legend its width
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


_MIN_ROWS = 5  # below which t-SNE and UMAP have no neighbourhoods


def pca_points(panels):
    """Two principal components `(2, N)` of several arrays `(N, F)`, in those of the last one."""
    last = list(panels.values())[-1]
    directions = np.linalg.svd(last - last.mean(axis=0), full_matrices=False)[2][:2]
    # A single row or column has fewer than two directions.
    directions = np.pad(directions, [(0, 2 - len(directions)), (0, 0)])
    return {title: directions @ (rows - last.mean(axis=0)).T for title, rows in panels.items()}


def tsne_points(rows, seed):
    """Two coordinates `(2, N)` of rows by scikit-learn's t-SNE."""
    with needs_extra("plots"):
        from sklearn.manifold import TSNE

    # Rows of a collapsed network are all equal. t-SNE would divide their principal components by
    # their spread, 0 / 0, and scikit-learn 1.9 crashes.
    if not np.ptp(rows, axis=0).any():
        return np.zeros((2, len(rows)))
    perplexity = min(30, (len(rows) - 1) / 3)
    return TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(rows).T


def umap_points(rows, seed):
    """Two coordinates `(2, N)` of rows by umap-learn's UMAP."""
    with needs_extra("umap"):
        from umap import UMAP

    # The seed is effective only with one job.
    neighbors = min(15, len(rows) - 1)
    return UMAP(n_neighbors=neighbors, random_state=seed, n_jobs=1).fit_transform(rows).T


def plane_points(rows, method, seed):
    """Two coordinates `(2, N)` of rows by `"pca"`, `"tsne"` or `"umap"`."""
    if method == "pca" or len(rows) < _MIN_ROWS or rows.shape[1] == 1:
        return pca_points({"": rows})[""]
    return {"tsne": tsne_points, "umap": umap_points}[method](rows, seed)
