"""From scores to ranked classes, and from those to accuracies."""

import numpy as np


def rank(scores, labels):
    """Classes `(M, n)` of the five best scores, best first, of equal ones the smaller first.

    Args:
        scores: `(M, C)` array, -inf for classes that are out of the question.
        labels: `(C,)` the classes, ascending.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    ruled_out = np.isneginf(np.take_along_axis(scores, order, axis=1))
    return np.where(ruled_out, -1, np.asarray(labels)[order])


def accuracies(ranked, labels):
    """Accuracies of classifications of which the five best are given.

    Args:
        ranked: `(M, n)` classes, the best first, -1 for none.
        labels: `(M,)` the right classes.

    Returns:
        Dict of `"top1"` and `"top5"`, shares of the rows in [0, 1], and `"per_class"`, a dict from
        each class of `labels` to the top-1 share of its rows.
    """
    right = ranked == labels[:, None]
    return {
        "top1": float(right[:, 0].mean()),
        "top5": float(right.any(axis=1).mean()),
        "per_class": {int(c): float(right[labels == c, 0].mean()) for c in np.unique(labels)},
    }
