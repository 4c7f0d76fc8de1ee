"""Evaluates how well features separate rare classes after training on unbalanced data."""

import numpy as np

from keras_isd.data.subsets import draw_class_rows
from keras_isd.evaluation.knn import knn_accuracy
from keras_isd.validation.features import check_features, check_labels


def balanced_rows(labels, per_class=None, seed=0):
    """Draws the same number of rows of each class.

    Args:
        labels: `(N,)` integers >= 0.
        per_class: int >= 1, number of rows of each class; None for the size of the smallest class.
            Defaults to None.
        seed: int, for the draw. Defaults to 0.

    Returns:
        `(n,)` array of rows, ascending.

    Raises:
        ValueError: if a class has fewer than `per_class` images.

    Example:

    >>> labels = np.repeat([0, 1, 2], [50, 5, 10])
    >>> np.bincount(labels[keras_isd.evaluation.balanced_rows(labels)])
    array([5, 5, 5])
    """
    labels = np.asarray(labels)
    classes, counts = np.unique(labels, return_counts=True)
    per_class = int(counts.min()) if per_class is None else per_class
    if not 1 <= per_class <= counts.min():
        raise ValueError(
            f"Argument `per_class` must be in [1, {counts.min()}], the size of class "
            f"{classes[counts.argmin()]}. Received: {per_class=}"
        )
    return draw_class_rows(labels, lambda c, n: per_class, seed)


def unbalanced_accuracy(
    train_features,
    train_labels,
    features,
    labels,
    rare_classes,
    k=1,
    per_class=None,
    seed=0,
    **kwargs,
):
    """Computes the nearest-neighbour accuracy over all classes and over the rare classes.

    The bank of neighbours is balanced, so that methods differ by the features that they learned
    from unbalanced images, not by the number of neighbours of a class.

    Args:
        train_features: `(N, F)` array, from which the bank is drawn; if possible features of the
            balanced data set.
        train_labels: `(N,)` integers >= 0.
        features: `(M, F)` array, to classify, of all classes.
        labels: `(M,)` integers >= 0.
        rare_classes: ints, the classes that were rare in training.
        k: int, number of neighbours. Defaults to 1.
        per_class, seed: see `balanced_rows`, which draws the bank.
        **kwargs: further arguments of `knn_accuracy`.

    Returns:
        Dict of `"all"` and `"rare"`, unweighted mean accuracies of the classes in [0, 1], and
        `"per_class"`.

    Raises:
        ValueError: if a rare class is not among `labels`, or an argument is invalid, as for
            `knn_accuracy`.

    Source: section 4.4 and Table 5 of the paper.

    Example:

    >>> bank, classes = np.array([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]]), np.array([0, 1, 1])
    >>> found = keras_isd.evaluation.unbalanced_accuracy(
    ...     bank, classes, np.array([[0.9, 0.1], [0.9, 0.2]]), np.array([0, 1]), rare_classes=[1]
    ... )
    >>> found["all"], found["rare"]
    (0.5, 0.0)
    """
    check_features(train_features=train_features, features=features)
    train_labels = check_labels(train_features, train_labels=train_labels)
    rare = sorted({int(c) for c in rare_classes})
    missing = set(rare) - set(np.unique(labels).tolist())
    if missing or not rare:
        raise ValueError(
            "Argument `rare_classes` must have at least one class, and only classes of `labels`. "
            f"Received: rare_classes={rare}, missing {sorted(missing)}"
        )
    rows = balanced_rows(train_labels, per_class, seed)
    bank = np.asarray(train_features)[rows], train_labels[rows]
    per_class = knn_accuracy(*bank, features, labels, k=k, **kwargs)["per_class"]
    return {
        "all": float(np.mean(list(per_class.values()))),
        "rare": float(np.mean([per_class[c] for c in rare])),
        "per_class": per_class,
    }
