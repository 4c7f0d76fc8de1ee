"""Groups of near-duplicate images."""

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.similarity.exact import unit_rows
from keras_isd.similarity.neighbors import find_neighbors
from keras_isd.validation.arguments import check_in_range
from keras_isd.validation.features import check_features

BLOCK_ROWS = 1024  # compared with all others at a time
ROUNDING = 1e-5  # one minus the cosine of equal rows, at most


def find_duplicates(features, ratio=0.3, k=10, similarity=None, prefer=None, approximate=False):
    """Finds groups of near-duplicate images, and which image of each to keep.

    Two images are near-duplicates if they are much nearer to each other than images of this set
    usually are: if one minus their cosine is at most `ratio` times that of the k-th nearest
    neighbour of either. This adapts to the network, unlike a fixed cosine: after a short training
    all cosines may be above 0.9. An image that is a near-duplicate of one of two joins their group.

    Among 5,000 images of CIFAR-10 with 300 copies (cropped, compressed, rotated by up to five
    degrees) its precision is 93 % and its recall 81 %; a fixed cosine with a precision of 93 % has
    a recall of about 50 %. These are candidates: `find_copies` verifies them on the pixels.

    Args:
        features: `(N, F)` array.
        ratio: float in (0, 1); a larger ratio finds more, with more false positives. Defaults to
            0.3.
        k: int, about the maximum number of copies of one image. Defaults to 10.
        similarity: float in (0, 1], a fixed minimum cosine of duplicates instead of `ratio`.
            Defaults to None.
        prefer: `(N,)` numbers, such as file sizes: the image with the largest is kept. Defaults to
            None: the most typical image of the group is kept.
        approximate: bool, see `find_neighbors`; not with a `similarity`. Defaults to False.

    Returns:
        List of int arrays, the rows of each group: the one to keep first, then by similarity to it;
        the largest group first.

    Raises:
        ImportError: if SciPy is not installed.
        ValueError: if features are not finite, or an argument is outside its range.

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
            "Argument `approximate` must be False with a `similarity`, which compares all pairs. "
            f"Received: {approximate=}, {similarity=}"
        )
    if prefer is not None and len(prefer) != len(features):
        raise ValueError(
            "Argument `prefer` must have a number for each image. "
            f"Received: {len(prefer)} numbers, {len(features)} features"
        )
    with needs_extra("explore"):  # before anything is computed
        import scipy.sparse  # noqa: F401

    if len(features) == 1:
        return []
    unit = unit_rows(features)
    if similarity is None:
        one, other = find_close_pairs(features, ratio, min(k, len(unit) - 1), approximate)
    else:
        one, other = find_similar_pairs(unit, similarity)
    groups = connected_groups(one, other, len(unit))
    groups = [_order_group(unit, rows, prefer) for rows in groups]
    return sorted(groups, key=len, reverse=True)


def connected_groups(one, other, count):
    """Groups of rows that pairs connect, directly or through others: list of int arrays."""
    with needs_extra("explore"):
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(one), bool), (one, other)), shape=(count, count))
    _, number = connected_components(graph, directed=False)
    order = np.argsort(number, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    return [rows for rows in groups if len(rows) > 1]


def find_close_pairs(features, ratio, k, approximate):
    """Finds pairs of rows that are nearer to each other than usual: two int arrays.

    See `find_duplicates` for the arguments.
    """
    rows, similarities = find_neighbors(features, k=k, approximate=approximate)
    distances = np.maximum(1 - similarities, 0)
    usual = distances[:, -1]
    near = distances <= ratio * np.minimum(usual[:, None], usual[rows])
    one, place = np.nonzero(near | (distances <= ROUNDING))
    return one, rows[one, place]


def find_similar_pairs(unit, similarity):
    """Finds pairs of unit rows whose cosine is at least `similarity`: int array `(2, P)`."""
    starts = range(0, len(unit), BLOCK_ROWS)
    return np.concatenate([_similar_pairs(unit, s, similarity) for s in starts], axis=1)


def _similar_pairs(unit, start, similarity):
    """Finds similar pairs `(2, P)` of rows of a block and rows from its start on."""
    block = unit[start : start + BLOCK_ROWS]
    # Rounding may reduce a copy's cosine below 1.
    found = block @ unit[start:].T >= similarity - 1e-6
    one, other = np.nonzero(found)
    later = other > one
    return np.stack([one[later], other[later]]) + start


def _order_group(unit, rows, prefer):
    """Orders the rows of a group: the one to keep first, then by similarity to it."""
    rows = np.sort(rows)
    scores = unit[rows] @ unit[rows].mean(axis=0) if prefer is None else np.asarray(prefer)[rows]
    kept = rows[np.argmax(scores)]
    order = np.argsort(-np.where(rows == kept, np.inf, unit[rows] @ unit[kept]), kind="stable")
    return rows[order]
