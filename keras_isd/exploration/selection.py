"""Which images to label first."""

import numpy as np

from keras_isd.exploration.clusters import cluster_features
from keras_isd.similarity.exact import unit_rows
from keras_isd.similarity.neighbors import find_neighbors
from keras_isd.validation.arguments import check_positive_integer
from keras_isd.validation.features import check_features

METHODS = ("typiclust", "k_center")
MOST_CLUSTERS = 500  # and neighbours of an image that tell how typical it is: of TypiClust
NEIGHBORS = 20


def select_rows(features, count, method="typiclust", labelled=(), seed=0):
    """Selects the images that are most worth a label.

    `"typiclust"`, for few labels: as many clusters as there will be labels, and the most typical
    image of each that has none, the largest cluster first. `"k_center"`, for many: each next image
    is the one farthest from all that are chosen, so that none is far from a label. It also takes
    what is strange.

    Args:
        features: `(N, F)` array.
        count: int, how many.
        method: `"typiclust"` or `"k_center"`.
        labelled: rows that have a label already.
        seed: int, of k-means.

    Returns:
        `(count,)` int64 array of rows, the most wanted first.

    Raises:
        ImportError: if scikit-learn is not installed, for `"typiclust"`.
        ValueError: if features are not finite, or there are fewer images without a label.

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
    return _typical(features, count, labelled, seed)


def _k_center(unit, count, labelled):
    # The first of all, where none has a label, is the one nearest to the middle.
    chosen: list[int] = []
    if not len(labelled):
        chosen = [int(np.argmax(unit @ unit.mean(axis=0)))]
    nearest = np.full(len(unit), -np.inf, "float32")  # similarity to the nearest chosen one
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


def _typical(features, count, labelled, seed):
    clusters = min(len(labelled) + count, MOST_CLUSTERS, len(features))
    cluster_of = cluster_features(features, clusters, seed=seed)
    free = np.ones(len(features), bool)
    free[labelled] = False
    members = [np.flatnonzero(cluster_of == number) for number in range(clusters)]
    ranked = [_most_typical_first(features, rows) for rows in members]
    waiting = [[row for row in rows if free[row]] for rows in ranked]
    taken = np.array([len(rows) for rows in members]) - [len(rows) for rows in waiting]
    chosen: list[int] = []
    while len(chosen) < count:
        # Of the clusters with the fewest labels the largest; clusters are in order of their size.
        number = min((n for n in range(clusters) if waiting[n]), key=lambda n: (taken[n], n))
        chosen.append(waiting[number].pop(0))
        taken[number] += 1
    return np.array(chosen, "int64")


def _most_typical_first(features, rows):
    """Rows of a cluster in the order of how near their nearest within it are."""
    if len(rows) < 2:
        return rows
    _, similarities = find_neighbors(features[rows], k=min(NEIGHBORS, len(rows) - 1))
    return rows[np.argsort(-similarities.mean(axis=1), kind="stable")]
