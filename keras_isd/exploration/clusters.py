"""Clusters of images, and their picture."""

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.similarity.exact import unit_rows
from keras_isd.validation.arguments import check_positive_integer
from keras_isd.validation.features import check_features
from keras_isd.visualization.image_rows import plot_image_rows

METHODS = ("kmeans", "hdbscan")
# Numbers of clusters that are compared if none is given, and the images that they are compared on.
COUNTS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 50, 65, 80, 100)
MAX_COMPARED = 1000
CLEAR = 0.05  # excess of the silhouette over that of one cloud
MAX_HDBSCAN = 5000  # images: its time grows with the square of their number
MAX_ALONE = 0.05  # share of images in no cluster with which HDBSCAN is still chosen


def cluster_features(features, clusters=None, method="kmeans", min_size=5, seed=0):
    """Clusters images by their features.

    Features are normalised first. `"kmeans"` assigns all images to a given number of clusters.
    `"hdbscan"` finds the number of clusters and leaves some images unassigned; it is for up to some
    ten thousand images, since its time grows with the square of their number.

    Args:
        features: `(N, F)` array.
        clusters: int, number of clusters of k-means. Defaults to None: see `choose_clusters`.
        method: `"kmeans"` or `"hdbscan"`. Defaults to `"kmeans"`.
        min_size: int, minimum size of HDBSCAN's clusters. Defaults to 5.
        seed: int, seed of k-means. Defaults to 0.

    Returns:
        `(N,)` int64 array, the cluster of each image, -1 for none. Cluster 0 is the largest.

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
        return _number_by_size(
            HDBSCAN(min_cluster_size=max(2, min_size), copy=True).fit_predict(unit)
        )
    if clusters is None:
        clusters, _ = choose_clusters(features, seed)
    check_positive_integer("clusters", clusters)
    if clusters > len(unit):
        raise ValueError(
            f"Argument `clusters` must be between 1 and {len(unit)} images. Received: {clusters=}"
        )
    return _number_by_size(KMeans(clusters, n_init=4, random_state=seed).fit_predict(unit))


def choose_clusters(features, seed=0):
    """Chooses the number of clusters of k-means by the features, not by the number of images.

    The silhouette compares each image's distance to its own cluster with that to the next one: 1 is
    best, and 0 is a border. Its mean is compared with that of random features of the same mean and
    covariance, which form one cloud, on at most 1,000 images; the number with the largest excess is
    chosen. If even that is below 0.05, the number is the root of half of the images, at most 100,
    which only divides one cloud.

    Args:
        features: `(N, F)` array.
        seed: int, seed of k-means and of the choice of images. Defaults to 0.

    Returns:
        Pair of the number, int, and the reason, str.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if features are not finite.

    Source: Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster
    analysis", 1987; Tibshirani, Walther and Hastie, "Estimating the number of clusters in a data
    set via the gap statistic", 2001, for the comparison.

    Example:

    >>> random = np.random.RandomState(0)
    >>> features = np.eye(4)[np.arange(80) % 4] + 0.05 * random.randn(80, 4)
    >>> keras_isd.exploration.choose_clusters(features)
    (4, 'its silhouette is 0.92, and 0.27 for one cloud')
    """
    clusters, reason, _ = _choose(features, seed)
    return clusters, reason


def choose_clustering(features, seed=0, min_size=5):
    """Chooses between k-means with the number of `choose_clusters`, and HDBSCAN.

    HDBSCAN finds clusters of very different sizes, where k-means divides the large ones. It is
    chosen for up to 5,000 images, if at most 5 % of the images are in no cluster and the
    silhouette of the others, on at most 1,000 of them, is larger than with k-means.

    Args:
        features: `(N, F)` array.
        seed: int, seed of k-means and of the sample. Defaults to 0.
        min_size: int, minimum size of HDBSCAN's clusters. Defaults to 5.

    Returns:
        Triple of the method, see `cluster_features`, the number of clusters or None for HDBSCAN,
        and the reason, str.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if features are not finite.

    Example:

    >>> keras_isd.exploration.choose_clustering(np.eye(4)[np.arange(80) % 4])[:2]
    ('kmeans', 4)
    """
    clusters, reason, silhouette = _choose(features, seed)
    if silhouette is None or len(features) > MAX_HDBSCAN:
        return "kmeans", clusters, reason
    with needs_extra("explore"):
        from sklearn.metrics import silhouette_score

    # All images, since the density of a sample differs; only the silhouettes are of a sample.
    unit = unit_rows(features)
    labels = {
        "kmeans": cluster_features(unit, clusters, seed=seed),
        "hdbscan": cluster_features(unit, method="hdbscan", min_size=min_size),
    }
    inside = np.flatnonzero(labels["hdbscan"] >= 0)
    if labels["hdbscan"].max() >= 1 and len(inside) >= (1 - MAX_ALONE) * len(unit):
        rows = np.random.RandomState(seed).permutation(inside)[:MAX_COMPARED]
        if all(2 <= len(np.unique(found[rows])) < len(rows) for found in labels.values()):
            kmeans, hdbscan = (silhouette_score(unit[rows], x[rows]) for x in labels.values())
            if hdbscan > kmeans:
                number = f"{clusters} of k-means"
                reason = f"its silhouette is {hdbscan:.2f}, and {kmeans:.2f} for {number}"
                return "hdbscan", None, reason
    return "kmeans", clusters, reason


def _sample(features, random):
    rows = random.permutation(len(features))[:MAX_COMPARED]
    return unit_rows(np.asarray(features)[np.sort(rows)])


def _choose(features, seed):
    """The number of clusters of k-means, the reason, and its silhouette if it stands out."""
    check_features(features=features)
    random = np.random.RandomState(seed)
    unit = _sample(features, random)
    covariance = np.cov(unit.T, bias=True).reshape(unit.shape[1], -1)
    values, directions = np.linalg.eigh(covariance)
    cloud = random.randn(*unit.shape) * np.sqrt(np.maximum(values, 0)) @ directions.T
    cloud = unit_rows(unit.mean(axis=0) + cloud)
    different = len(np.unique(unit, axis=0))
    counts = [count for count in COUNTS if count <= min(len(unit) // 3, different)]
    found = [[_silhouette(x, count, seed) for x in (unit, cloud)] for count in counts]
    if found:
        best = int(np.argmax([own - reference for own, reference in found]))
        own, reference = found[best]
        if own - reference >= CLEAR:
            reason = f"its silhouette is {own:.2f}, and {reference:.2f} for one cloud"
            return counts[best], reason, own
    divided = max(1, min(COUNTS[-1], different, round((len(features) / 2) ** 0.5)))
    return divided, "no number stands out: the images form one cloud, which is only divided", None


def _silhouette(unit, count, seed):
    with needs_extra("explore"):
        from sklearn.cluster import KMeans
        from sklearn.metrics import silhouette_score

    labels = KMeans(count, n_init=2, random_state=seed).fit_predict(unit)
    return float(silhouette_score(unit, labels))


def nearest_to_center(features, labels):
    """Rows of each cluster, those nearest to its centre first."""
    unit = unit_rows(features)
    found = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    centers = [unit[rows].mean(axis=0) for rows in found]
    distances = [
        np.linalg.norm(unit[rows] - center, axis=1) for rows, center in zip(found, centers)
    ]
    return [rows[np.argsort(d, kind="stable")] for rows, d in zip(found, distances)]


def _number_by_size(labels):
    """Renumbers clusters from the largest on; -1 stays."""
    found, counts = np.unique(labels[labels >= 0], return_counts=True)
    new = np.full(labels.max() + 2, -1, "int64")  # the last one is that of -1
    new[found[np.argsort(-counts, kind="stable")]] = np.arange(len(found))
    return new[labels]


def plot_clusters(images, features, clusters=8, columns=10, seed=0, path=None):
    """Draws clusters of images, one row per cluster.

    Normalised features are clustered by k-means. A row shows the images nearest to the centre of a
    cluster, the nearest first; the largest cluster is at the top.

    Args:
        images: `(N, H, W, C)` array of any depth, or an `ImageSource`.
        features: `(N, F)` array of the same images.
        clusters: int in [1, N]. Defaults to 8.
        columns: int, the maximum number of images in a row. Defaults to 10.
        seed: int, seed of k-means. Defaults to 0.
        path: where to save the figure, or None. Defaults to None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib or scikit-learn is not installed.
        ValueError: if features are not finite, their number differs from that of the images, or
            there are more clusters than images.

    Source: Figure 4 of the paper, for ImageNet.

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
            "Argument `features` must have a row for each image. "
            f"Received: {len(features)} features, {len(images)} images"
        )
    if not 1 <= clusters <= len(features):
        raise ValueError(
            f"Argument `clusters` must be between 1 and {len(features)} images. "
            f"Received: {clusters=}"
        )
    rows = cluster_rows(features, clusters, seed)
    return plot_image_rows(images, rows, columns=columns, path=path)


def cluster_rows(features, clusters, seed=0):
    """Rows of each cluster, the nearest to its centre first; the largest cluster first."""
    return nearest_to_center(features, cluster_features(features, clusters, seed=seed))
