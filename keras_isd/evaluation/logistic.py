"""Logistic regression for transfer, with its penalty chosen on held-out images."""

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.subsets import label_fraction
from keras_isd.evaluation.accuracy import compute_accuracies, rank_classes
from keras_isd.evaluation.classifier import compute_moments
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
    """Fits scikit-learn's logistic regression and returns its accuracy, for transfer.

    Features are divided by their length and standardised. The strength of the L2 penalty is chosen
    on a held-out share of each class that has more than one image; the best strength is then fitted
    on all training features.

    Args:
        train_features: `(N, F)` array.
        train_labels: `(N,)` integers >= 0.
        features: `(M, F)` array, to classify.
        labels: `(M,)` integers >= 0, each among `train_labels`.
        strengths: floats > 0; the penalty `strength / 2 * |weights|^2` is added to the mean loss. A
            single strength is used as it is. Defaults to (1e-6, 1e-5, 1e-4, 1e-3, 1e-2).
        held_out: float in (0, 1), the share of each class. Defaults to 0.2.
        seed: int, which draws the held-out rows. Defaults to 0.
        max_iterations: int, the limit of L-BFGS. Defaults to 1000.

    Returns:
        Dict with `"top1"`, `"top5"`, `"per_class"` (see `knn_accuracy`) and `"strength"`, the
        chosen strength.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if features or labels are invalid, as for `knn_accuracy`, a strength is not
            positive, `held_out` is not in (0, 1), or no class has two images.

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
    mean, variance = compute_moments(train_features)
    train_features, features = (
        ((rows - mean) / np.sqrt(variance)).astype("float32") for rows in (train_features, features)
    )

    def classify(rows, queries, strength):
        classifier = _fit(train_features[rows], train_labels[rows], strength, max_iterations)
        return rank_classes(_compute_scores(classifier, queries), classifier.classes_)

    strength = strengths[0]
    if len(strengths) > 1:
        held_out_rows = _draw_held_out_rows(train_labels, held_out, seed)
        rows = np.setdiff1d(np.arange(len(train_labels)), held_out_rows)
        queries, targets = train_features[held_out_rows], train_labels[held_out_rows]
        top1 = [np.mean(classify(rows, queries, s)[:, 0] == targets) for s in strengths]
        strength = strengths[int(np.argmax(top1))]
    ranked = classify(np.arange(len(train_labels)), features, strength)
    return {**compute_accuracies(ranked, labels), "strength": strength}


def fit_logistic(features, labels, strength, max_iterations=1000):
    """Fits a logistic regression to standardised features.

    Args:
        features: `(N, F)` array of unit vectors.
        labels: `(N,)` integers >= 0, of at least two classes.
        strength: float > 0, see `logistic_regression`.
        max_iterations: int. Defaults to 1000.

    Returns:
        Triple of the kernel `(F, C)` and the bias `(C,)` for features that are not standardised,
        and the C classes.
    """
    mean, variance = compute_moments(features)
    deviation = np.sqrt(variance)
    classifier = _fit((features - mean) / deviation, labels, strength, max_iterations)
    kernel, bias = classifier.coef_.T, classifier.intercept_
    if len(classifier.classes_) == 2:  # scikit-learn has weights of the second class alone
        kernel, bias = np.concatenate([-kernel, kernel], axis=1), np.concatenate([-bias, bias])
        kernel, bias = kernel / 2, bias / 2  # their difference is the score
    kernel = kernel / np.reshape(deviation, (-1, 1))
    return (
        kernel.astype("float32"),
        (bias - np.ravel(mean) @ kernel).astype("float32"),
        classifier.classes_,
    )


def _draw_held_out_rows(labels, share, seed):
    """Draws a share of the rows of each class that has more than one image."""
    classes, counts = np.unique(labels, return_counts=True)
    rows = label_fraction(labels, share, seed)
    rows = rows[np.isin(labels[rows], classes[counts > 1])]
    if not len(rows):
        raise ValueError(
            "Argument `train_labels` must have a class with two images, so that one can be held "
            "out to choose a strength; give more images, or a single strength. "
            f"Received: {len(labels)} images of {len(classes)} classes"
        )
    return rows


def require_scikit_learn():
    """Raises an ImportError that names the extra, if scikit-learn is not installed."""
    with needs_extra("evaluation"):
        import sklearn  # noqa: F401


def _fit(features, labels, strength, max_iterations):
    with needs_extra("evaluation"):
        from sklearn.linear_model import LogisticRegression

    # scikit-learn adds the penalty to the sum of the losses, not to their mean.
    inverse = 1 / (strength * len(labels))
    return LogisticRegression(C=inverse, max_iter=max_iterations).fit(features, labels)


def _compute_scores(classifier, features):
    """Computes scores `(M, C)`; for two classes scikit-learn returns only those of the second."""
    scores = classifier.decision_function(features)
    return np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores
