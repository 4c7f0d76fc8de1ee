"""k-nearest-neighbour classification on features, exact, by cosine similarity."""

import numpy as np

_BLOCK = 1000  # queries at a time: bounds the memory at `_BLOCK` x bank similarities


def knn_accuracy(train_features, train_labels, features, labels, k=20, temperature=None):
    """Accuracy of a k-nearest-neighbour classifier, by cosine similarity.

    Without a temperature each neighbour has one vote, as in the paper (k = 1 and 20).
    With one it has `exp(similarity / temperature)` votes, as in Wu et al., 2018
    (k = 200, temperature 0.1), the custom for CIFAR. Of classes with equal votes the
    one of the smallest label wins.

    Args:
        train_features: `(N, F)` array, the bank of neighbours.
        train_labels: `(N,)` integers >= 0.
        features: `(M, F)` array, to classify.
        labels: `(M,)` integers >= 0.
        k: int in [1, N], number of neighbours.
        temperature: float > 0, or None for one vote each.

    Returns:
        Dict with `"top1"`, the share of rightly classified rows, in [0, 1].

    Raises:
        ValueError: if `k` is not in [1, N], `temperature` is not positive, or features and
            labels differ in number.

    Source: `eval_knn.py` of the authors; Wu et al., "Unsupervised Feature Learning via
    Non-Parametric Instance Discrimination", CVPR 2018, section 3.4.

    Example:

    >>> bank, classes = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([3, 5])
    >>> knn_accuracy(bank, classes, np.array([[0.9, 0.1], [0.6, 0.8]]), np.array([3, 3]), k=1)
    {'top1': 0.5}
    """
    train_labels, labels = np.asarray(train_labels), np.asarray(labels)
    if not 1 <= k <= len(train_features):
        raise ValueError(
            f"Argument `k` must be between 1 and the {len(train_features)} training features. "
            f"Received: k={k}"
        )
    if temperature is not None and not temperature > 0:
        raise ValueError(f"Argument `temperature` must be positive. Received: {temperature=}")
    for name, x, y in (("train_", train_features, train_labels), ("", features, labels)):
        if y.shape != (len(x),):
            raise ValueError(
                f"Argument `{name}labels` must hold one label for each of the {len(x)} rows of "
                f"`{name}features`. Received: shape {y.shape}"
            )
    bank, queries = _unit_rows(train_features), _unit_rows(features)
    right = 0
    for start in range(0, len(queries), _BLOCK):
        similarity = queries[start : start + _BLOCK] @ bank.T
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        weights = np.ones(nearest.shape)
        if temperature is not None:
            weights = np.take_along_axis(similarity, nearest, axis=1) / temperature
            weights = np.exp(weights - weights.max(axis=1, keepdims=True))  # no overflow
        votes = np.zeros((len(nearest), train_labels.max() + 1))
        np.add.at(votes, (np.arange(len(nearest))[:, None], train_labels[nearest]), weights)
        right += int((votes.argmax(axis=1) == labels[start : start + _BLOCK]).sum())
    return {"top1": right / len(queries)}


def _unit_rows(x):
    x = np.asarray(x, "float32")
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
