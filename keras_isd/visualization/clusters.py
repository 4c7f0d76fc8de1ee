"""What k-means finds in features, as rows of images."""

import numpy as np

from keras_isd.evaluation.checks import check_features
from keras_isd.evaluation.nearest import unit_rows
from keras_isd.extras import needs_extra
from keras_isd.visualization.figure import new_grid, save


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
    figure, axes = new_grid(clusters, columns, 1.0, 1.05, ticks=False)
    for line, rows in zip(axes, cluster_rows(features, clusters, seed), strict=True):
        line[0].set_ylabel(f"{len(rows):,}", rotation=0, ha="right", va="center")
        for axis in line:
            axis.set_frame_on(False)
        for axis, row in zip(line, rows):
            image = np.asarray(images[row], "float32") / 255
            axis.imshow(np.clip(image, 0, 1), cmap="gray", vmin=0, vmax=1)
    save(figure, path)
    return figure


def cluster_rows(features, clusters, seed=0):
    """Rows of each cluster, the nearest to its middle first; the largest cluster first."""
    with needs_extra("plots"):
        from sklearn.cluster import KMeans

    means = KMeans(clusters, n_init=4, random_state=seed).fit(unit_rows(features))
    return list(rows_of_clusters(features, means.labels_).values())


def rows_of_clusters(features, clusters):
    """Rows of each cluster by its number, the nearest to its middle first; the largest first.

    `clusters` is that of each row, below 0 of those in none.
    """
    features, found = unit_rows(features), {}
    for cluster in np.unique(clusters[clusters >= 0]).tolist():
        rows = np.flatnonzero(clusters == cluster)
        distances = np.linalg.norm(features[rows] - features[rows].mean(axis=0), axis=1)
        found[cluster] = rows[np.argsort(distances, kind="stable")]
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))
