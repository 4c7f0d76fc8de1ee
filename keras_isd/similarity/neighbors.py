"""Nearest neighbours of images, within one set or between two."""

import numpy as np

from keras_isd.similarity.approximate import approximate_rows
from keras_isd.similarity.exact import nearest_rows
from keras_isd.validation.arguments import check_positive_integer
from keras_isd.validation.features import check_features


def find_neighbors(features, queries=None, k=10, approximate=False):
    """Finds the images that are most like each image, or like each of some others.

    By the cosine of their features, exactly. An image is not its own neighbour. Exactly takes time
    with the square of the number of images: of a hundred thousand some minutes on two cores, of a
    million some hours.

    Args:
        features: `(N, F)` array.
        queries: `(M, F)` array of other images; by default the N are asked about themselves.
        k: int, how many neighbours of each; at most N, of the images themselves N - 1.
        approximate: bool, whether to compare each image with those of its own surroundings alone,
            by faiss. For sets of hundreds of thousands it is quicker; now and then a neighbour is
            missed: of 20,000 images, by 1,280 features each, 96 % were the right ones.

    Returns:
        Pair of `(M, k)` arrays: rows of `features`, the most similar first, and similarities in
        [-1, 1].

    Raises:
        ImportError: if faiss is not installed, for `approximate`.
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
    nearest = approximate_rows if approximate else nearest_rows
    if queries is not None:
        return nearest(features, queries, k)
    return neighbors_of_all(features, k, nearest)


def neighbors_of_all(features, k, nearest=nearest_rows):
    """The `k` nearest other rows of each row, and their similarities: `(N, k)` arrays."""
    return neighbors_of_rows(features, np.arange(len(features)), k, nearest)


def neighbors_of_rows(features, asked, k, nearest=nearest_rows):
    """The `k` nearest other rows of the rows that are asked about: `(M, k)` arrays."""
    rows, similarities = nearest(features, np.asarray(features)[asked], k + 1)
    # Of many rows that are all alike a row itself need not be among the first.
    other = rows != np.asarray(asked)[:, None]
    other[other.all(axis=1), -1] = False
    return rows[other].reshape(-1, k), similarities[other].reshape(-1, k)
