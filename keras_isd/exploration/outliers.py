"""Outlier images."""

import numpy as np

from keras_isd.similarity.neighbors import find_neighbors


def outlier_scores(features, k=None, approximate=False):
    """Computes the local outlier factor of each image: the larger, the more unusual.

    A score of about 1 is usual: the image is as near to its `k` nearest neighbours as these are to
    theirs, so images of a diverse kind are not outliers. Features are normalised, and distances
    count at least half of the usual one: otherwise an image with many copies would make all others
    outliers.

    It finds single unusual images, and groups of fewer than `k` if they are not too similar. Images
    that are nearly equal for the network form a cluster instead (see `cluster_features`): fifty
    handwritten digits among 5,000 photographs were not found.

    Args:
        features: `(N, F)` array.
        k: int, number of neighbours, limited by the number of images. Defaults to a fiftieth of the
            images, from 10 to 100.
        approximate: bool, see `find_neighbors`. Defaults to False.

    Returns:
        `(N,)` float32 array, above 0.

    Raises:
        ValueError: if features are not finite, or have a single row.

    Source: Breunig, Kriegel, Ng and Sander, "LOF: identifying density-based local outliers", SIGMOD
    2000.

    Example:

    >>> features = np.array([[1, 0], [1, 0.1], [0.9, 0], [-1, 0]])
    >>> int(keras_isd.exploration.outlier_scores(features, k=2).argmax())
    3
    """
    k = max(10, min(100, len(features) // 50)) if k is None else k
    k = min(k, max(1, len(features) - 1))
    rows, similarities = find_neighbors(features, k=k, approximate=approximate)
    distances = np.sqrt(np.maximum(2 - 2 * similarities, 0))  # between unit vectors
    # The reachability distance: an image counts as no nearer to another than that one's k-th
    # neighbour, since distances within the neighbourhood are noise.
    usual = np.median(distances[:, -1])
    reach = np.maximum(distances, np.maximum(distances[rows, -1], usual / 2))
    density = 1 / (reach.mean(axis=1) + 1e-10)  # as in scikit-learn, if all are copies
    return (density[rows].mean(axis=1) / density).astype("float32")
