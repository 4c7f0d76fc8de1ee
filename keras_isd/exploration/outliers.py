"""Images of another kind than the rest."""

import numpy as np

from keras_isd.similarity.neighbors import find_neighbors


def outlier_scores(features, k=None, approximate=False):
    """How much lonelier each image is than those most like it: the larger, the stranger.

    The local outlier factor of unit features, in which no distance counts for less than half of
    what is usual: else what has many copies would make all others strange. About 1 is as usual: as
    near to its `k` nearest as these are to theirs, so that images of a loose kind are not taken for
    strange ones.

    It is for single strange images, and finds groups of fewer than `k` where these are not too much
    alike. What is all but the same to the network is no outlier: fifty handwritten digits among
    5,000 photographs were not found. They are a cluster: see `cluster_features`.

    Args:
        features: `(N, F)` array.
        k: int, how many neighbours, fewer where there are fewer images; by default a fiftieth of
            the images, from 10 to 100.
        approximate: bool, see `find_neighbors`.

    Returns:
        `(N,)` float32 array, above 0.

    Raises:
        ValueError: if features are not finite or of one image alone.

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
    distances = np.sqrt(np.maximum(2 - 2 * similarities, 0))  # of unit vectors
    # No image is nearer to another than that one's farthest neighbour is: of what is nearer still
    # the distances are chance.
    usual = np.median(distances[:, -1])
    reach = np.maximum(distances, np.maximum(distances[rows, -1], usual / 2))
    density = 1 / (reach.mean(axis=1) + 1e-10)  # as scikit-learn has it, where all are copies
    return (density[rows].mean(axis=1) / density).astype("float32")
