"""Selection of images to label first."""

import numpy as np

from keras_isd.exploration.clusters import cluster_features
from keras_isd.similarity.exact import unit_rows
from keras_isd.similarity.neighbors import find_neighbors
from keras_isd.validation.arguments import check_positive_integer
from keras_isd.validation.features import check_features

METHODS = ("typiclust", "k_center")
MAX_CLUSTERS = 500  # of TypiClust
TYPICALITY_NEIGHBORS = 20
MIN_CLUSTER_IMAGES = 5  # clusters of at most so many images have no turn, as in the authors' code


def select_rows(features, count, method="typiclust", labelled=(), seed=0):
    """Selects the images that are most worth labelling.

    `"typiclust"` is for few labels: it makes as many clusters as there will be labels, and takes
    the most typical image of each cluster, those with the fewest labels and the largest first, in
    turn. Clusters of at most five images, which are mostly outliers, have no turn. `"k_center"` is
    for many labels: each next image is the farthest from all selected ones, so that every image is
    near a label. It also selects outliers.

    Args:
        features: `(N, F)` array.
        count: int, number of images.
        method: `"typiclust"` or `"k_center"`. Defaults to `"typiclust"`.
        labelled: rows that have a label. Defaults to ().
        seed: int, seed of k-means. Defaults to 0.

    Returns:
        `(count,)` int64 array of rows, the highest priority first.

    Raises:
        ImportError: if scikit-learn is not installed, for `"typiclust"`.
        ValueError: if features are not finite, or `count` exceeds the images without a label.

    Source: Hacohen, Dekel and Weinshall, "Active learning on a budget", ICML 2022 (TypiClust);
    Sener and Savarese, "Active learning for convolutional neural networks: a core-set approach",
    ICLR 2018 (k-centre greedy).

    Example:

    >>> features = np.array([[1, 0], [1, 0.1], [1, 0.2], [0, 1], [0.1, 1]])
    >>> sorted(keras_isd.exploration.select_rows(features, 2, "k_center").tolist())
    [2, 3]
    """
    check_features(features=features)
    check_positive_integer("count", count)
    if method not in METHODS:
        raise ValueError(f"Argument `method` must be one of {METHODS}. Received: {method=}")
    labelled = np.unique(np.asarray(labelled, "int64"))
    if len(labelled) and (labelled[0] < 0 or labelled[-1] >= len(features)):
        raise ValueError(
            f"Argument `labelled` must be rows in [0, {len(features)}). "
            f"Received: rows from {labelled[0]} to {labelled[-1]}"
        )
    if count > len(features) - len(labelled):
        raise ValueError(
            f"Argument `count` must be at most {len(features) - len(labelled)}, the images without "
            f"a label. Received: {count=}"
        )
    if method == "k_center":
        return _k_center(unit_rows(features), count, labelled)
    return _typiclust(features, count, labelled, seed)


def _k_center(unit, count, labelled):
    # Without labels the first image is the one nearest to the mean.
    chosen: list[int] = []
    if not len(labelled):
        chosen = [int(np.argmax(unit @ unit.mean(axis=0)))]
    nearest = np.full(len(unit), -np.inf, "float32")  # similarity to the nearest selected image
    for row in [*labelled, *chosen]:
        np.maximum(nearest, unit @ unit[row], out=nearest)
    nearest[labelled] = np.inf
    nearest[chosen] = np.inf
    while len(chosen) < count:
        row = int(np.argmin(nearest))
        chosen.append(row)
        np.maximum(nearest, unit @ unit[row], out=nearest)
        nearest[row] = np.inf
    return np.array(chosen, "int64")


def _typiclust(features, count, labelled, seed):
    clusters = min(len(labelled) + count, MAX_CLUSTERS, len(features))
    cluster_of = cluster_features(features, clusters, seed=seed)
    free = np.ones(len(features), bool)
    free[labelled] = False
    members = [np.flatnonzero(cluster_of == number) for number in range(clusters)]
    large = [rows for rows in members if len(rows) > MIN_CLUSTER_IMAGES]
    # The fewest labels first, then the largest. Small clusters are mostly of outliers.
    order = sorted(large or members, key=lambda rows: (np.count_nonzero(~free[rows]), -len(rows)))
    chosen: list[int] = []
    while len(chosen) < count:
        order = [rows for rows in order if free[rows].any()] or [np.flatnonzero(free)]
        for rows in order[: count - len(chosen)]:
            chosen.append(_most_typical(features, rows[free[rows]]))
            free[chosen[-1]] = False
    return np.array(chosen, "int64")


def _most_typical(features, rows):
    """The row with the smallest mean squared distance to its nearest neighbours among others.

    Squared, as faiss gives the distances to the authors: it is the largest mean cosine.
    """
    if len(rows) < 2:
        return int(rows[0])
    count = min(TYPICALITY_NEIGHBORS, len(rows) // 2)
    _, similarities = find_neighbors(features[rows], k=count)
    return int(rows[similarities.mean(axis=1).argmax()])
