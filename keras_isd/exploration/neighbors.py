"""The images that are most alike."""

from keras_isd.argument_validation import check_positive_integer
from keras_isd.evaluation.checks import check_features
from keras_isd.evaluation.health import neighbors_of_all
from keras_isd.evaluation.nearest import nearest_rows


def find_neighbors(features, queries=None, k=10):
    """Finds the images that are most like each image, or like each of some others.

    By the cosine of their features, exactly. An image is not its own neighbour.

    Args:
        features: `(N, F)` array.
        queries: `(M, F)` array of other images; by default the N are asked about themselves.
        k: int, how many neighbours of each; at most N, of the images themselves N - 1.

    Returns:
        Pair of `(M, k)` arrays: rows of `features`, the most similar first, and similarities in
        [-1, 1].

    Raises:
        ValueError: if features are not finite, or `k` is more than there are.

    Example:

    >>> features = np.array([[1, 0], [0, 1], [1, 0.1]])
    >>> rows, similarities = keras_isd.exploration.find_neighbors(features, k=1)
    >>> rows.ravel().tolist()
    [2, 2, 0]
    """
    named = (
        {"features": features} if queries is None else {"features": features, "queries": queries}
    )
    check_features(**named)
    check_positive_integer("k", k)
    most = len(features) - (queries is None)
    if k > most:
        raise ValueError(f"Argument `k` must be at most {most}, the other images. Received: {k=}")
    if queries is not None:
        return nearest_rows(features, queries, k)
    return neighbors_of_all(features, k)
