"""Features as points of a plane."""

import numpy as np

from keras_isd.evaluation.checks import check_features
from keras_isd.evaluation.nearest import unit_rows
from keras_isd.extras import needs_extra
from keras_isd.visualization.figure import new_grid, save

METHODS = ("pca", "tsne")


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
        for name, rows in _classes(labels, len(x), class_names):
            axis.scatter(x[rows], y[rows], s=4, linewidths=0, label=name)
        axis.set(title=title)
    if labels is not None:
        axes[-1].legend(frameon=False, markerscale=3, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)
    return figure


def _points(panels, method, seed):
    """Two coordinates `(2, N)` of each panel's rows."""
    if method == "tsne":
        with needs_extra("plots"):
            from sklearn.manifold import TSNE

        perplexity = min(30, (len(next(iter(panels.values()))) - 1) / 3)
        tsne = TSNE(init="pca", perplexity=perplexity, random_state=seed)

        def plane(rows):
            # One point of a collapsed network's rows, all alike: t-SNE would start from their
            # principal components over the spread, 0 / 0, of which scikit-learn 1.9 crashes.
            alike = not np.ptp(rows, axis=0).any()
            return np.zeros((2, len(rows))) if alike else tsne.fit_transform(rows).T

        return {title: plane(rows) for title, rows in panels.items()}
    last = list(panels.values())[-1]
    directions = np.linalg.svd(last - last.mean(axis=0), full_matrices=False)[2][:2]
    return {title: directions @ (rows - last.mean(axis=0)).T for title, rows in panels.items()}


def _classes(labels, count, names):
    """Yields the name and the rows of each class."""
    if labels is None:
        yield None, np.arange(count)
        return
    for label in np.unique(labels):
        yield names[label] if names else str(label), np.flatnonzero(np.asarray(labels) == label)
