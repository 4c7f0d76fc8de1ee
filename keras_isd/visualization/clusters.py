"""What k-means finds in features, as rows of images."""

from keras_isd.evaluation.checks import check_features
from keras_isd.exploration.clusters import cluster_features, nearest_to_middle
from keras_isd.visualization.image_rows import plot_image_rows


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
