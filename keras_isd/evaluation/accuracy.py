"""Ranks classes by score, and computes accuracies from the ranks.

A module of its own, because the k-NN, logistic and trained classifiers share it.
"""

import numpy as np


def rank_classes(scores, classes):
    """Finds the five classes with the highest scores; of equal scores the smaller class first.

    Args:
        scores: `(M, C)` array, -inf for classes that are excluded.
        classes: `(C,)` array, the classes, ascending.

    Returns:
        `(M, n)` array of classes, the best first, n at most 5; -1 in place of excluded classes.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    is_excluded = np.isneginf(np.take_along_axis(scores, order, axis=1))
    return np.where(is_excluded, -1, np.asarray(classes)[order])


def compute_accuracies(ranked, labels):
    """Computes top-1, top-5 and per-class accuracy.

    Args:
        ranked: `(M, n)` array of classes, the best first, -1 for no class: see `rank_classes`.
        labels: `(M,)` array, the true classes.

    Returns:
        Dict of `"top1"` and `"top5"`, shares of the rows in [0, 1], and `"per_class"`, a dict from
        each class of `labels` to the top-1 accuracy of its rows.
    """
    is_correct = ranked == labels[:, None]
    return {
        "top1": float(is_correct[:, 0].mean()),
        "top5": float(is_correct.any(axis=1).mean()),
        "per_class": {int(c): float(is_correct[labels == c, 0].mean()) for c in np.unique(labels)},
    }
