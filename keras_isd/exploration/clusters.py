"""Clusters of images."""

import numpy as np

from keras_isd.argument_validation import check_positive_integer
from keras_isd.evaluation.checks import check_features
from keras_isd.evaluation.nearest import unit_rows
from keras_isd.extras import needs_extra

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
