"""Nearest neighbours of images, within one set or between two sets."""

import functools

import numpy as np

from keras_isd.similarity.approximate import approximate_rows
from keras_isd.similarity.exact import nearest_rows
from keras_isd.validation.arguments import check_positive_integer
from keras_isd.validation.features import check_features


def find_neighbors(
    features, queries=None, k=10, approximate=False, exclude_groups=None, index=None
):
    """Finds the most similar images of each image, or of each query image.

    Similarity is the cosine of the features. An image is not its own neighbour. The time of the
    exact search grows with the square of the number of images: on two cores a hundred thousand
    images take some minutes, a million some hours.

    Args:
        features: `(N, F)` array.
        queries: `(M, F)` array, features of other images; None to find the neighbours of the N
            images among themselves. Defaults to None.
        k: int, number of neighbours of each image; at most N, or N - 1 without `queries`. Defaults
            to 10.
        approximate: bool, whether faiss compares each image with those of the nearest clusters
            only. It is faster for sets of hundreds of thousands, and misses a few neighbours: for
            20,000 images with 1,280 features each, 96 % were correct. Defaults to False.
        exclude_groups: `(N,)` array, the group of each image, such as its plate or patient: an
            image's neighbours are then those of other groups alone. Without `queries` only.
            Defaults to None.
        index: path of a file that keeps the index of an approximate search: written if it does not
            exist or is of other features, and else read, which saves most of the time of a search
            for few queries. Defaults to None.

    Returns:
        Pair of `(M, k)` arrays: rows of `features`, the most similar first, and similarities in
        [-1, 1].

    Raises:
        ImportError: if `approximate` is True and faiss is not installed.
        ValueError: if features are not finite, `k` is larger than the number of other images, or
            `index` is given without `approximate` or with `exclude_groups`.

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
    limit = len(features) - (queries is None)
    if k > limit:
        raise ValueError(
            f"Argument `k` must be at most {limit}, the number of other images. Received: {k=}"
        )
    if index is not None and (not approximate or exclude_groups is not None):
        raise ValueError(
            "Argument `index` must be given with `approximate` and without `exclude_groups`. "
            f"Received: {index=}, {approximate=}"
        )
    search = choose_search(approximate, index)
    if exclude_groups is not None:
        if queries is not None or len(exclude_groups) != len(features):
            raise ValueError(
                "Argument `exclude_groups` must have a group for each image, without `queries`. "
                f"Received: {len(exclude_groups)} groups, {len(features)} images, "
                f"{'no ' if queries is None else ''}queries"
            )
        return _neighbors_in_other_groups(features, np.asarray(exclude_groups), k, search)
    if queries is not None:
        return search(features, queries, k)
    return find_all_neighbors(features, k, search)


def choose_search(approximate=False, index=None):
    """The function that finds the nearest rows; see `find_neighbors` for the arguments."""
    return functools.partial(approximate_rows, file=index) if approximate else nearest_rows


def _neighbors_in_other_groups(features, groups, k, search):
    """Finds the `k` nearest rows of other groups than each row's own."""
    features = np.asarray(features)
    rows = np.empty((len(features), k), "int64")
    similarities = np.empty((len(features), k), "float32")
    for group in np.unique(groups):
        own, others = np.flatnonzero(groups == group), np.flatnonzero(groups != group)
        if len(others) < k:
            raise ValueError(
                f"Argument `k` must be at most {len(others)}, the number of images outside of a "
                f"group. Received: {k=}"
            )
        found, similarities[own] = search(features[others], features[own], k)
        rows[own] = others[found]
    return rows, similarities


def find_all_neighbors(features, k, search=nearest_rows):
    """Finds the `k` nearest other rows of each row: `(N, k)` rows and similarities."""
    return find_row_neighbors(features, np.arange(len(features)), k, search)


def find_row_neighbors(features, chosen, k, search=nearest_rows):
    """Finds the `k` nearest other rows of the chosen rows: `(M, k)` rows and similarities."""
    rows, similarities = search(features, np.asarray(features)[chosen], k + 1)
    # If many rows are equal, a row itself may be missing among its nearest rows.
    other = rows != np.asarray(chosen)[:, None]
    other[other.all(axis=1), -1] = False
    return rows[other].reshape(-1, k), similarities[other].reshape(-1, k)
