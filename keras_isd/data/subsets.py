"""Parts of a labelled data set, as lists of rows for `ImageSource.subset`."""

import numpy as np

from keras_isd.validation.arguments import check_in_range, check_seed


def of_classes(labels, classes):
    """Rows whose label is among `classes`, in their order.

    Args:
        labels: `(N,)` integers.
        classes: labels to keep.

    Returns:
        `(n,)` rows, ascending.

    Raises:
        ValueError: if there are no rows of one of them.

    Example:

    >>> keras_isd.data.of_classes([0, 1, 2, 1], classes=[1])
    array([1, 3])
    """
    _check_present("classes", labels, classes)
    return np.flatnonzero(np.isin(labels, classes))


def label_fraction(labels, fraction, seed=0):
    """A share of the rows of each class, drawn by `seed`: for "1 % of the labels".

    Args:
        labels: `(N,)` integers; rows of -1 are left out.
        fraction: float in `(0, 1]`. Of a class of n images `round(n * fraction)` are taken, at
            least one.
        seed: int. Under one seed a smaller fraction is part of a larger.

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
    return rows_of_each_class(labels, lambda c, n: max(1, round(n * fraction)), seed)


def unbalanced(labels, large_classes, rare_count=100, seed=0):
    """All rows of a few large classes, and `rare_count` of each other one.

    Args:
        labels: `(N,)` integers.
        large_classes: labels of the classes that stay whole.
        rare_count: int >= 1.
        seed: int, for the choice.

    Returns:
        `(n,)` rows, ascending.

    Raises:
        ValueError: if a class of `large_classes` has no image, or `rare_count` is not positive.

    Source: section 4.4 of the paper: subsets of ImageNet of 8 large classes and 30 of 100
    images each (the authors' `D1.txt` to `D10.txt`).

    Example:

    >>> labels = np.repeat([0, 1, 2], 50)
    >>> np.bincount(labels[keras_isd.data.unbalanced(labels, [1], rare_count=5)])
    array([ 5, 50,  5])
    """
    _check_present("large_classes", labels, large_classes)
    check_in_range("rare_count", rare_count, 1)
    large = set(large_classes)
    return rows_of_each_class(labels, lambda c, n: n if c in large else min(n, rare_count), seed)


def long_tail(labels, imbalance_factor, seed=0):
    """Rows whose classes shrink exponentially, the last to 1 / `imbalance_factor` of the first.

    Class c of C keeps `n_max * imbalance_factor ** (-c / (C - 1))` images, rounded down, where
    `n_max` is the size of the largest class.

    Args:
        labels: `(N,)` integers.
        imbalance_factor: float >= 1; 100 is the usual "CIFAR-LT 100".
        seed: int, for the choice.

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
    classes, counts = np.unique(_known(labels), return_counts=True)
    places = {c: place for place, c in enumerate(classes.tolist())}
    steps = max(1, len(classes) - 1)

    def kept(c, n):
        # The small addition keeps 100 * 100 ** -0.5 from coming out as 9.99.
        share = counts.max() * imbalance_factor ** (-places[c] / steps)
        return min(n, max(1, int(share + 1e-6)))

    return rows_of_each_class(labels, kept, seed)


def _check_present(name, labels, classes):
    missing = set(classes) - set(np.unique(labels).tolist())
    if missing:
        raise ValueError(
            f"Argument `{name}` must be labels of the data. Received: {sorted(missing)}, "
            "of which there are no images"
        )


def _known(labels):
    labels = np.asarray(labels)
    known = labels[labels >= 0]
    if len(known) == 0:
        raise ValueError(
            "Argument `labels` must have a label other than -1, unknown. "
            f"Received: {len(labels)} labels, none of them known"
        )
    return known


def rows_of_each_class(labels, count, seed):
    """The first `count(class, size)` of each class's rows in an order drawn by `seed`."""
    check_seed("seed", seed)
    labels = np.asarray(labels)
    chosen = []
    for c in np.unique(_known(labels)).tolist():
        rows = np.random.default_rng([seed, c]).permutation(np.flatnonzero(labels == c))
        chosen.append(rows[: count(c, len(rows))])
    return np.sort(np.concatenate(chosen))
