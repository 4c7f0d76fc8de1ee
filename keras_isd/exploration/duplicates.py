"""Groups of images that are nearly the same."""

import numpy as np

from keras_isd.argument_validation import check_in_range
from keras_isd.evaluation.checks import check_features
from keras_isd.evaluation.nearest import unit_rows
from keras_isd.extras import needs_extra

BLOCK = 1024  # rows that are compared with all others at a time


def find_duplicates(features, similarity=0.97, prefer=None, center=True):
    """Finds groups of images whose features are nearly the same, and which of each to keep.

    Two images whose cosine is at least `similarity` are in one group, and so is whatever is as
    similar to either of them. All pairs are compared, in bounded memory.

    What all features share is taken off first: without that nearly all cosines are above 0.9 in
    some networks. How similar two copies are still differs from network to network; look at some
    groups before anything is deleted.

    Args:
        features: `(N, F)` array.
        similarity: float in (0, 1], the least cosine of two that are the same.
        prefer: `(N,)` numbers, of which a group's image with the largest is kept, such as the size
            of the file; by default that which is most like the others is.
        center: bool, whether to take the mean of all features off.

    Returns:
        List of int arrays, the rows of each group, the one to keep first, then those most like it;
        the largest group first.

    Raises:
        ImportError: if SciPy is not installed.
        ValueError: if features are not finite, or an argument is out of its range.

    Example:

    >>> features = np.array([[1, 0], [0, 1], [1, 0.01], [0.9, 0]])
    >>> [rows.tolist() for rows in keras_isd.exploration.find_duplicates(features, center=False)]
    [[0, 3, 2]]
    """
    check_features(features=features)
    check_in_range("similarity", similarity, np.nextafter(0, 1), 1)
    if prefer is not None and len(prefer) != len(features):
        raise ValueError(
            "Argument `prefer` must have a number for each image. "
            f"Received: {len(prefer)} numbers, {len(features)} features"
        )
    with needs_extra("explore"):
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

    unit = unit_rows(features - np.mean(features, axis=0) if center else features)
    pairs = [_alike(unit, start, similarity) for start in range(0, len(unit), BLOCK)]
    one, other = np.concatenate(pairs, axis=1)
    graph = coo_matrix((np.ones(len(one), bool), (one, other)), shape=(len(unit), len(unit)))
    _, number = connected_components(graph, directed=False)
    order = np.argsort(number, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    groups = [_kept_first(unit, rows, prefer) for rows in groups if len(rows) > 1]
    return sorted(groups, key=len, reverse=True)


def _alike(unit, start, similarity):
    """Pairs of rows `(2, P)`, of a block and of what comes after it, that are similar enough."""
    block = unit[start : start + BLOCK]
    # Rounding may take a copy's cosine below 1.
    found = block @ unit[start:].T >= similarity - 1e-6
    one, other = np.nonzero(found)
    later = other > one
    return np.stack([one[later], other[later]]) + start


def _kept_first(unit, rows, prefer):
    """The rows of a group, the one to keep first, then those that are most like it."""
    rows = np.sort(rows)
    scores = unit[rows] @ unit[rows].mean(axis=0) if prefer is None else np.asarray(prefer)[rows]
    kept = rows[np.argmax(scores)]
    order = np.argsort(-np.where(rows == kept, np.inf, unit[rows] @ unit[kept]), kind="stable")
    return rows[order]
