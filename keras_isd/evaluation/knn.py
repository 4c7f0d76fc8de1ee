"""Exact k-nearest-neighbour classification by cosine similarity."""

import numpy as np

from keras_isd.evaluation.accuracy import compute_accuracies, rank_classes
from keras_isd.similarity.exact import nearest_rows
from keras_isd.validation.arguments import check_positive
from keras_isd.validation.features import check_features, check_labels, check_sets


def knn_accuracy(
    train_features,
    train_labels,
    features,
    labels,
    k=20,
    temperature=None,
    max_bytes=2**28,
):
    """Computes the accuracy of a k-nearest-neighbour classifier by cosine similarity.

    Without a temperature each neighbour has one vote, as in the paper (k = 1 and 20). With a
    temperature it has `exp(similarity / temperature)` votes, as in Wu et al., 2018 (k = 200,
    temperature 0.1), which is usual for CIFAR. Ties: equally similar neighbours keep the bank's
    order, and the smaller label wins among classes with equal votes. A class without a vote is not
    among the five best.

    Args:
        train_features: `(N, F)` array, the bank of neighbours.
        train_labels: `(N,)` integers >= 0.
        features: `(M, F)` array, to classify.
        labels: `(M,)` integers >= 0, each among `train_labels`.
        k: int in [1, N], number of neighbours. Defaults to 20.
        temperature: float > 0, or None for one vote each. Defaults to None.
        max_bytes: int, approximate memory in bytes that is used in addition to the features.
            Defaults to 2**28.

    Returns:
        Dict with `"top1"` and `"top5"`, the shares of rows whose class is first and among the first
        five, in [0, 1], and `"per_class"`, a dict from each class to its top-1 accuracy.

    Raises:
        ValueError: if `k` is not in [1, N], `temperature` is not positive, features are empty, not
            finite or differ in width, labels are missing, negative or differ in number from the
            features, or a class of `labels` has no example in the bank.

    Source: `eval_knn.py` of the authors; Wu et al., "Unsupervised Feature Learning via
    Non-Parametric Instance Discrimination", CVPR 2018, section 3.4.

    Example:

    >>> bank, classes = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([3, 5])
    >>> features, labels = np.array([[0.9, 0.1], [0.6, 0.8]]), np.array([3, 3])
    >>> knn_accuracy(bank, classes, features, labels, k=1)["top1"]
    0.5
    """
    train_labels, labels = check_sets(train_features, train_labels, features, labels)
    ranked = _rank(train_features, train_labels, features, k, temperature, max_bytes)
    return compute_accuracies(ranked, labels)


def knn_accuracies(train_features, train_labels, features, labels):
    """Computes the accuracies of the three usual k-nearest-neighbour classifiers.

    They are 1 and 20 neighbours with one vote each, as in the paper, and 200 neighbours weighted
    with temperature 0.1, as for CIFAR. If the bank is smaller, all its rows vote.

    Args:
        train_features, train_labels, features, labels: see `knn_accuracy`.

    Returns:
        Dict from `"1-NN"`, `"20-NN"` and `"200-NN, weighted"` to the result of `knn_accuracy`.

    Raises:
        ValueError: see `knn_accuracy`.

    Example:

    >>> bank, classes = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([3, 5])
    >>> found = keras_isd.evaluation.knn_accuracies(bank, classes, bank, classes)
    >>> {name: result["top1"] for name, result in found.items()}
    {'1-NN': 1.0, '20-NN': 0.5, '200-NN, weighted': 1.0}
    """
    sets = (train_features, train_labels, features, labels)
    count = len(train_features)
    return {
        "1-NN": knn_accuracy(*sets, k=1),
        "20-NN": knn_accuracy(*sets, k=min(20, count)),
        "200-NN, weighted": knn_accuracy(*sets, k=min(200, count), temperature=0.1),
    }


def knn_predict(train_features, train_labels, features, k=20, temperature=None, max_bytes=2**28):
    """Predicts the five best classes of each row with a k-nearest-neighbour classifier.

    Args:
        train_features, train_labels, features, k, temperature, max_bytes: see `knn_accuracy`.

    Returns:
        `(M, n)` array of classes, the best first, n at most 5; -1 if no further class has a vote.

    Raises:
        ValueError: see `knn_accuracy`.

    Example:

    >>> bank, classes = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([3, 5])
    >>> keras_isd.evaluation.knn_predict(bank, classes, np.array([[0.9, 0.1], [0.6, 0.8]]), k=2)
    array([[3, 5],
           [3, 5]])
    """
    check_features(train_features=train_features, features=features)
    train_labels = check_labels(train_features, train_labels=train_labels)
    return _rank(train_features, train_labels, features, k, temperature, max_bytes)


def _rank(train_features, train_labels, features, k, temperature, max_bytes):
    """Ranks classes as `knn_predict` does, for features and labels that are already checked."""
    if not 1 <= k <= len(train_features):
        raise ValueError(
            f"Argument `k` must be in [1, {len(train_features)}], the number of training features. "
            f"Received: {k=}"
        )
    if temperature is not None:
        check_positive("temperature", temperature)
    rows, similarities = nearest_rows(train_features, features, k, max_bytes)
    classes, train_classes = np.unique(train_labels, return_inverse=True)
    votes = _count_votes(train_classes[rows], similarities, len(classes), temperature)
    return rank_classes(votes, classes)


def _count_votes(classes, similarities, count, temperature):
    """Counts the votes for each class: `(M, count)` array, -inf for a class without a vote."""
    weights = np.ones(classes.shape)
    if temperature is not None:
        weights = similarities.astype("float64") / temperature
        weights = np.exp(weights - weights.max(axis=1, keepdims=True))  # no overflow
    places = (np.arange(len(classes))[:, None] * count + classes).ravel()
    votes = np.bincount(places, weights.ravel(), len(classes) * count)
    has_votes = np.bincount(places, minlength=len(classes) * count) > 0
    return np.where(has_votes, votes, -np.inf).reshape(-1, count)
