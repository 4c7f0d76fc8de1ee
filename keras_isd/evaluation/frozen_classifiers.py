"""Classifiers on the features of a backbone that does not change: linear, and by neighbours."""

import warnings
from typing import NamedTuple

import keras
import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.evaluation.knn import knn_predict
from keras_isd.evaluation.logistic import fit_logistic
from keras_isd.models.teacher import clone
from keras_isd.similarity.exact import unit_rows
from keras_isd.validation.arguments import check_in_range
from keras_isd.validation.features import check_labels

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the penalty; few labels need a strong one
NEIGHBORS = (1, 5, 20)


class CrossValidated(NamedTuple):
    """A kind of classifier, judged on images that it was not fitted on.

    Attributes:
        setting: the best strength of the penalty, or number of neighbours.
        is_correct: `(N,)` bools, whether each image was classified correctly.
    """

    setting: float
    is_correct: np.ndarray


def make_folds(labels, groups=None, folds=5, seed=0):
    """Makes parts of labelled images, to fit on all but one and to classify that one.

    Each part has about the same share of each class. The images of a group stay together, so that
    none is classified by images that were taken with it.

    Args:
        labels: `(N,)` integers >= 0.
        groups: `(N,)` array, the group of each image, or None. Defaults to None.
        folds: int >= 2, limited by the number of images of the largest class and of groups.
            Defaults to 5.
        seed: int. Defaults to 0.

    Returns:
        List of pairs of int arrays, the rows to fit on and the rows to classify.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if no class has two images, or there is only one group.

    Example:

    >>> folds = keras_isd.evaluation.make_folds(np.arange(20) % 2, folds=4)
    >>> [len(classified) for _, classified in folds]
    [5, 5, 5, 5]
    """
    labels = check_labels(labels, labels=labels)
    check_in_range("folds", folds, 2)
    with needs_extra("evaluation"):
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    limit = int(np.bincount(labels).max())
    if groups is not None:
        limit = min(limit, len(np.unique(groups)))
    if limit < 2:
        raise ValueError(
            "Argument `labels` must have two images of a class, and `groups` two groups, to "
            f"classify some by others. Received: {len(labels)} images, at most {limit}"
        )
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(min(folds, limit), shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a class may have fewer images than there are parts
        warnings.simplefilter("ignore", UserWarning)
        return list(splitter.split(labels, labels, groups))


def cross_validate_linear(features, labels, folds, strengths=STRENGTHS):
    """Judges a linear layer by the folds of `make_folds`, and chooses its penalty.

    Args:
        features: `(N, F)` array.
        labels: `(N,)` integers >= 0.
        folds: list of pairs, see `make_folds`.
        strengths: floats > 0, see `logistic_regression`; with equal accuracies the strongest is
            chosen. Defaults to (1e-4, 1e-3, 1e-2, 1e-1, 1).

    Returns:
        `CrossValidated`.

    Example:

    >>> random = np.random.RandomState(0)
    >>> labels = np.arange(60) % 3
    >>> features = np.eye(3)[labels] + 0.1 * random.randn(60, 3)
    >>> folds = keras_isd.evaluation.make_folds(labels)
    >>> found = keras_isd.evaluation.cross_validate_linear(features, labels, folds)
    >>> float(found.is_correct.mean())
    1.0
    """
    unit = unit_rows(features)

    def predict(strength, fitted, classified):
        kernel, bias, classes = fit_logistic(unit[fitted], labels[fitted], strength)
        return classes[(unit[classified] @ kernel + bias).argmax(axis=1)]

    return _best_setting(sorted(strengths, reverse=True), labels, folds, predict)


def cross_validate_neighbors(features, labels, folds, neighbors=NEIGHBORS):
    """Judges the vote of the nearest images by the folds of `make_folds`; chooses their number.

    Args:
        features, labels, folds: see `cross_validate_linear`.
        neighbors: ints, numbers of neighbours to try. Defaults to (1, 5, 20).

    Returns:
        `CrossValidated`.

    Example:

    >>> random = np.random.RandomState(0)
    >>> labels = np.arange(60) % 3
    >>> features = np.eye(3)[labels] + 0.1 * random.randn(60, 3)
    >>> folds = keras_isd.evaluation.make_folds(labels)
    >>> found = keras_isd.evaluation.cross_validate_neighbors(features, labels, folds)
    >>> float(found.is_correct.mean())
    1.0
    """
    least = min(len(fitted) for fitted, _ in folds)

    def predict(k, fitted, classified):
        return knn_predict(features[fitted], labels[fitted], features[classified], k=k)[:, 0]

    return _best_setting([k for k in neighbors if k <= least], labels, folds, predict)


def _best_setting(settings, labels, folds, predict):
    """The first of the settings with the largest accuracy, as a `CrossValidated`."""
    found = []
    for setting in settings:
        predicted = np.empty(len(labels), "int64")
        for fitted, classified in folds:
            if len(np.unique(labels[fitted])) > 1:
                predicted[classified] = predict(setting, fitted, classified)
            else:
                predicted[classified] = labels[fitted][0]
        found.append(CrossValidated(setting, predicted == labels))
    return max(found, key=lambda result: result.is_correct.mean())


def linear_classifier(backbone, features, labels, classes, strength):
    """Makes a classifier of a frozen copy of a backbone and a linear layer, fitted to its optimum.

    Args:
        backbone: built `keras.Model` from views to features `(B, F)`.
        features: `(N, F)` array, its features of labelled images.
        labels: `(N,)` integers in [0, classes).
        classes: int, number of classes.
        strength: float > 0, see `logistic_regression`.

    Returns:
        `keras.Model` from views to scores `(B, classes)`; their softmax gives probabilities.

    Example:

    >>> backbone = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    >>> labels = np.arange(12) % 3
    >>> features = np.eye(8)[labels]
    >>> classifier = keras_isd.evaluation.linear_classifier(backbone, features, labels, 3, 0.01)
    >>> classifier.output_shape
    (None, 3)
    """
    kernel, bias, found = fit_logistic(unit_rows(features), labels, strength)
    whole = np.zeros((kernel.shape[0], classes), "float32")
    whole[:, found] = kernel
    low = np.full(classes, bias.min() - 100, "float32")  # a class without an image has no chance
    low[found] = bias
    layer = keras.layers.Dense(classes, dtype="float32", name="classes")
    return _on_unit_features(backbone, layer, [whole, low])


def neighbor_classifier(backbone, features, labels, classes, k):
    """Makes a classifier of a frozen copy of a backbone and the vote of the nearest images.

    Args:
        backbone, features, labels, classes: see `linear_classifier`.
        k: int, number of neighbours.

    Returns:
        `keras.Model` from views to scores `(B, classes)`, the logarithms of the shares of votes.

    Example:

    >>> backbone = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    >>> labels = np.arange(12) % 3
    >>> features = np.eye(8)[labels]
    >>> classifier = keras_isd.evaluation.neighbor_classifier(backbone, features, labels, 3, k=5)
    >>> classifier.output_shape
    (None, 3)
    """
    bank = keras.layers.Dense(len(features), use_bias=False, dtype="float32", name="bank")
    model = _on_unit_features(backbone, bank, [unit_rows(features).T])
    _, rows = keras.ops.top_k(model.output, k)
    votes = keras.layers.Embedding(len(features), classes, dtype="float32", name="votes")
    shares = keras.ops.mean(votes(rows), axis=1)
    votes.set_weights([np.eye(classes, dtype="float32")[labels]])
    votes.trainable = False
    return keras.Model(model.input, keras.ops.log(shares + 1e-3))


def _on_unit_features(backbone, layer, weights):
    views = keras.Input(backbone.input_shape[1:])
    frozen = clone(backbone, "backbone")
    frozen.trainable = False
    unit = keras.layers.UnitNormalization(dtype="float32")(frozen(views, training=False))
    scores = layer(unit)
    layer.set_weights(weights)
    layer.trainable = False
    return keras.Model(views, scores)
