"""Clusters of images."""

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.similarity.exact import unit_rows
from keras_isd.validation.arguments import check_positive_integer
from keras_isd.validation.features import check_features
from keras_isd.visualization.image_rows import plot_image_rows

METHODS = ("kmeans", "hdbscan")
MOST = 100  # clusters that are chosen where none are asked for


def cluster_features(features, clusters=None, method="kmeans", min_size=5, seed=0):
    """Puts images into clusters by their features.

    Features are divided by their length first. `"kmeans"` makes as many clusters as are asked for,
    of all images. `"hdbscan"` finds how many there are and leaves out what is in none; it is for
    sets of some ten thousand images, since its time grows with the square of their number.

    Args:
        features: `(N, F)` array.
        clusters: int, how many k-means makes; by default the root of half the number of images, at
            most 100.
        method: `"kmeans"` or `"hdbscan"`.
        min_size: int, images of a cluster that HDBSCAN finds, at least.
        seed: int, of k-means.

    Returns:
        `(N,)` int64 array, the cluster of each image; cluster 0 is the largest. It is -1 for an
        image in none.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if features are not finite, or there are more clusters than images.

    Example:

    >>> features = np.array([[1, 0], [0, 1], [1, 0.1], [1, 0.2]])
    >>> keras_isd.exploration.cluster_features(features, clusters=2).tolist()
    [0, 1, 0, 0]
    """
    check_features(features=features)
    if method not in METHODS:
        raise ValueError(f"Argument `method` must be one of {METHODS}. Received: {method=}")
    check_positive_integer("min_size", min_size)
    with needs_extra("explore"):
        from sklearn.cluster import HDBSCAN, KMeans

    unit = unit_rows(features)
    if method == "hdbscan":
        return _by_size(HDBSCAN(min_cluster_size=max(2, min_size), copy=True).fit_predict(unit))
    if clusters is None:
        clusters = max(1, min(MOST, round((len(unit) / 2) ** 0.5)))
    check_positive_integer("clusters", clusters)
    if clusters > len(unit):
        raise ValueError(
            f"Argument `clusters` must be between 1 and {len(unit)} images. Received: {clusters=}"
        )
    return _by_size(KMeans(clusters, n_init=4, random_state=seed).fit_predict(unit))


def nearest_to_middle(features, labels):
    """Rows of each cluster, those nearest to its middle first."""
    unit = unit_rows(features)
    found = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    middles = [unit[rows].mean(axis=0) for rows in found]
    distances = [np.linalg.norm(unit[rows] - mid, axis=1) for rows, mid in zip(found, middles)]
    return [rows[np.argsort(d, kind="stable")] for rows, d in zip(found, distances)]


def _by_size(labels):
    """Labels that count from the largest cluster on; -1 stays."""
    found, counts = np.unique(labels[labels >= 0], return_counts=True)
    new = np.full(labels.max() + 2, -1, "int64")  # whose last is that of -1
    new[found[np.argsort(-counts, kind="stable")]] = np.arange(len(found))
    return new[labels]


def plot_clusters(images, features, clusters=8, columns=10, seed=0, path=None):
    """Draws a row of images for each of some clusters of their features.

    Features are divided by their length and put into clusters by k-means. A row shows the images
    nearest to the middle of a cluster, the nearest first; the largest cluster is on top.

    Args:
        images: `(N, H, W, 3)` array in [0, 255], or `(N, H, W, 1)`.
        features: `(N, F)` array, of the same images.
        clusters: int in [1, N].
        columns: int, how many images of each, at most.
        seed: int, of k-means.
        path: where to save the figure, or None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib or scikit-learn is not installed.
        ValueError: if features are not finite or not of the images, or there are more clusters than
            images.

    Source: Figure 4 of the paper shows such rows, of ImageNet.

    Example:

    >>> random = np.random.RandomState(0)
    >>> images, features = random.randint(0, 256, (20, 8, 8, 3)), random.randn(20, 4)
    >>> figure = keras_isd.visualization.plot_clusters(images, features, clusters=3, columns=5)
    >>> len(figure.axes)
    15
    """
    check_features(features=features)
    if len(images) != len(features):
        raise ValueError(
            "Argument `features` must be of the images. "
            f"Received: {len(features)} features, {len(images)} images"
        )
    if not 1 <= clusters <= len(features):
        raise ValueError(
            f"Argument `clusters` must be between 1 and {len(features)} images. "
            f"Received: {clusters=}"
        )
    rows = cluster_rows(features, clusters, seed)
    return plot_image_rows(images, rows, columns=columns, value_range=(0, 255), path=path)


def cluster_rows(features, clusters, seed=0):
    """Rows of each cluster, the nearest to its middle first; the largest cluster first."""
    return nearest_to_middle(features, cluster_features(features, clusters, seed=seed))
