"""Images of another kind than the rest."""

from keras_isd.exploration.neighbors import find_neighbors


def outlier_scores(features, k=10):
    """How far each image is from those most like it: the larger, the stranger.

    The mean of one minus the cosine to the `k` nearest others. It is exact, has no parameter to
    fit, and is hard to beat on features (Kuan and Mueller, 2022). It is for single strange images.
    Those of another kind of which there are many alike are each other's neighbours: fifty digits
    among 5,000 images of CIFAR-10 were not found, with any `k`. They are a cluster: see
    `cluster_features`.

    Args:
        features: `(N, F)` array.
        k: int, how many neighbours; fewer where there are fewer images.

    Returns:
        `(N,)` float32 array, in [0, 2].

    Raises:
        ValueError: if features are not finite or of one image alone.

    Source: Ramaswamy, Rastogi and Shim, "Efficient algorithms for mining outliers from large data
    sets", SIGMOD 2000; Kuan and Mueller, "Back to the basics: revisiting out-of-distribution
    detection baselines", 2022.

    Example:

    >>> features = np.array([[1, 0], [1, 0.1], [0.9, 0], [-1, 0]])
    >>> int(keras_isd.exploration.outlier_scores(features, k=2).argmax())
    3
    """
    _, similarities = find_neighbors(features, k=min(k, max(1, len(features) - 1)))
    return (1 - similarities).mean(axis=1)
