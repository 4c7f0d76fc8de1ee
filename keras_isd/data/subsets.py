"""Chooses subsets of a labelled data set, as rows for `ImageSource.subset`."""

import numpy as np

from keras_isd.validation.arguments import check_in_range, check_seed


def of_classes(labels, classes):
    """Chooses the rows whose label is among `classes`.

    Args:
        labels: `(N,)` integers.
        classes: ints, the labels to keep.

    Returns:
        `(n,)` rows, ascending.

    Raises:
        ValueError: if a class has no row.

    Example:

    >>> keras_isd.data.of_classes([0, 1, 2, 1], classes=[1])
    array([1, 3])
    """
    _check_present("classes", labels, classes)
    return np.flatnonzero(np.isin(labels, classes))


def label_fraction(labels, fraction, seed=0):
    """Draws a share of the rows of each class, such as 1 % of the labels.

    Args:
        labels: `(N,)` integers; rows labelled -1 are omitted.
        fraction: float in `(0, 1]`. A class of n images keeps `round(n * fraction)` of them, at
            least one.
        seed: int. With the same seed a smaller fraction is a subset of a larger one. Defaults to 0.

    Returns:
        `(n,)` rows, ascending.

    Raises:
        ValueError: if `fraction` is outside its range.

    Example:

    >>> labels = np.repeat([0, 1], [10, 30])
    >>> rows = keras_isd.data.label_fraction(labels, 0.1)
    >>> np.bincount(labels[rows])
    array([1, 3])
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"Argument `fraction` must be in (0, 1]. Received: {fraction=}")
    return draw_class_rows(labels, lambda c, n: max(1, round(n * fraction)), seed)


def unbalanced(labels, large_classes, rare_count=100, seed=0):
    """Chooses all rows of a few large classes, and `rare_count` rows of each other class.

    Args:
        labels: `(N,)` integers.
        large_classes: ints, the labels of the classes that keep all rows.
        rare_count: int >= 1. Defaults to 100.
        seed: int, for the draw. Defaults to 0.

    Returns:
        `(n,)` rows, ascending.

    Raises:
        ValueError: if a class of `large_classes` has no row, or `rare_count` is not positive.

    Source: section 4.4 of the paper: subsets of ImageNet with 8 large classes, and 30 classes of
    100 images each (the authors' `D1.txt` to `D10.txt`).

    Example:

    >>> labels = np.repeat([0, 1, 2], 50)
    >>> np.bincount(labels[keras_isd.data.unbalanced(labels, [1], rare_count=5)])
    array([ 5, 50,  5])
    """
    _check_present("large_classes", labels, large_classes)
    check_in_range("rare_count", rare_count, 1)
    large = set(large_classes)
    return draw_class_rows(labels, lambda c, n: n if c in large else min(n, rare_count), seed)


def long_tail(labels, imbalance_factor, seed=0):
    """Draws rows so that class sizes decrease exponentially, by `imbalance_factor` in total.

    Class c of C keeps `n_max * imbalance_factor ** (-c / (C - 1))` images, rounded down, where
    `n_max` is the size of the largest class.

    Args:
        labels: `(N,)` integers.
        imbalance_factor: float >= 1, ratio of the first class to the last; 100 gives the usual
            "CIFAR-LT 100".
        seed: int, for the draw. Defaults to 0.

    Returns:
        `(n,)` rows, ascending.

    Raises:
        ValueError: if `imbalance_factor` is less than 1.

    Source: Cui et al., "Class-balanced loss", 2019.

    Example:

    >>> labels = np.repeat([0, 1, 2], 100)
    >>> np.bincount(labels[keras_isd.data.long_tail(labels, 100)])
    array([100,  10,   1])
    """
    check_in_range("imbalance_factor", imbalance_factor, 1)
    classes, counts = np.unique(_known_labels(labels), return_counts=True)
    places = {c: place for place, c in enumerate(classes.tolist())}
    steps = max(1, len(classes) - 1)

    def count_kept(c, n):
        # Without the small addition 100 * 100 ** -0.5 would be rounded down to 9.
        size = counts.max() * imbalance_factor ** (-places[c] / steps)
        return min(n, max(1, int(size + 1e-6)))

    return draw_class_rows(labels, count_kept, seed)


def _check_present(name, labels, classes):
    missing = set(classes) - set(np.unique(labels).tolist())
    if missing:
        raise ValueError(
            f"Argument `{name}` must be labels of the data. "
            f"Received: {sorted(missing)}, which have no images"
        )


def _known_labels(labels):
    labels = np.asarray(labels)
    known = labels[labels >= 0]
    if len(known) == 0:
        raise ValueError(
            "Argument `labels` must have a known label, 0 or above. "
            f"Received: {len(labels)} labels, none of them known"
        )
    return known


def draw_class_rows(labels, count, seed):
    """Draws `count(class, size)` rows of each class.

    Args:
        labels: `(N,)` integers; rows labelled -1 are omitted.
        count: function from a class and its size to the number of rows to draw.
        seed: int.

    Returns:
        `(n,)` rows, ascending.
    """
    check_seed("seed", seed)
    labels = np.asarray(labels)
    chosen = []
    for c in np.unique(_known_labels(labels)).tolist():
        rows = np.random.default_rng([seed, c]).permutation(np.flatnonzero(labels == c))
        chosen.append(rows[: count(c, len(rows))])
    return np.sort(np.concatenate(chosen))
