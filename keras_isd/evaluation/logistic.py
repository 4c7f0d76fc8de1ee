"""Logistic regression whose strength is chosen on a held-out part, for transfer."""

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.subsets import label_fraction
from keras_isd.evaluation.accuracy import accuracies, rank
from keras_isd.evaluation.classifier import mean_and_variance
from keras_isd.similarity.exact import unit_rows
from keras_isd.validation.features import check_sets


def logistic_regression(
    train_features,
    train_labels,
    features,
    labels,
    strengths=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2),
    held_out=0.2,
    seed=0,
    max_iterations=1000,
):
    """Accuracy of scikit-learn's logistic regression, its L2 penalty chosen on held-out features.

    For transfer: features are divided by their length and standardised; each strength is tried on
    the training features but for a held-out share of each class that has more than one image; the
    best is trained again on all.

    Args:
        train_features: `(N, F)` array.
        train_labels: `(N,)` integers >= 0.
        features: `(M, F)` array, to classify.
        labels: `(M,)` integers >= 0, of which each class is in `train_labels`.
        strengths: floats > 0, of the penalty `strength / 2 * |weights|^2` beside the mean loss; of
            one alone no choice is made.
        held_out: float in (0, 1), of each class.
        seed: int, of the held-out rows.
        max_iterations: int, of L-BFGS.

    Returns:
        Dict with `"top1"`, `"top5"`, `"per_class"` (see `knn_accuracy`) and `"strength"`, the one
        chosen.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: for features and labels as in `knn_accuracy`, if a strength is not positive,
            `held_out` is not in (0, 1), or there is nothing to hold out.

    Source: section 4.3 of the paper, "Transfer learning", after Kornblith et al., "Do better
    ImageNet models transfer better?", 2019.

    Example:

    >>> random = np.random.RandomState(0)
    >>> labels = random.randint(0, 3, 300)
    >>> features = np.eye(3)[labels] + 0.1 * random.randn(300, 3)
    >>> found = keras_isd.evaluation.logistic_regression(
    ...     features[:200], labels[:200], features[200:], labels[200:]
    ... )
    >>> found["top1"]
    1.0
    """
    train_labels, labels = check_sets(train_features, train_labels, features, labels)
    if len(strengths) == 0 or not min(strengths) > 0:
        raise ValueError(f"Argument `strengths` must be positive numbers. Received: {strengths=}")
    if not 0 < held_out < 1:
        raise ValueError(f"Argument `held_out` must be in (0, 1). Received: {held_out=}")
    train_features, features = unit_rows(train_features), unit_rows(features)
    mean, variance = mean_and_variance(train_features)
    train_features, features = (
        ((rows - mean) / np.sqrt(variance)).astype("float32") for rows in (train_features, features)
    )

    def classified(rows, others, strength):
        fitted = _fit(train_features[rows], train_labels[rows], strength, max_iterations)
        return rank(_scores(fitted, others), fitted.classes_)

    strength = strengths[0]
    if len(strengths) > 1:
        others = _held_out(train_labels, held_out, seed)
        rows = np.setdiff1d(np.arange(len(train_labels)), others)
        right = [
            np.mean(classified(rows, train_features[others], s)[:, 0] == train_labels[others])
            for s in strengths
        ]
        strength = strengths[int(np.argmax(right))]
    ranked = classified(np.arange(len(train_labels)), features, strength)
    return {**accuracies(ranked, labels), "strength": strength}


def _held_out(labels, share, seed):
    """Rows to choose a strength on: a share of each class that has more than one image."""
    found, counts = np.unique(labels, return_counts=True)
    rows = label_fraction(labels, share, seed)
    rows = rows[np.isin(labels[rows], found[counts > 1])]
    if not len(rows):
        raise ValueError(
            "Argument `train_labels` must have two images of a class for a strength to be chosen: "
            "give more, or one of `strengths`. "
            f"Received: {len(labels)} images of {len(found)} classes"
        )
    return rows


def _fit(features, labels, strength, max_iterations):
    with needs_extra("evaluation"):
        from sklearn.linear_model import LogisticRegression

    # There the penalty stands beside the sum of the losses, not their mean.
    inverse = 1 / (strength * len(labels))
    return LogisticRegression(C=inverse, max_iter=max_iterations).fit(features, labels)


def _scores(fitted, features):
    scores = fitted.decision_function(features)
    return np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores  # of two classes
