"""Building blocks of the trained classifiers: standardisation, training and evaluation."""

import keras
import numpy as np

from keras_isd.evaluation.accuracy import compute_accuracies, rank_classes
from keras_isd.evaluation.features import extract_features
from keras_isd.optimizers import SGD
from keras_isd.validation.features import check_classes, check_labels


def compute_moments(features):
    """Computes each column's mean, and its unbiased variance plus 1e-5, as the authors do."""
    mean = features.mean(axis=0, dtype="float64")
    variance = features.var(axis=0, dtype="float64", ddof=min(1, len(features) - 1))
    return mean, variance + 1e-5


def make_standardization(features):
    """Makes a layer that standardises inputs by the mean and the variance of `features`."""
    mean, variance = compute_moments(features)
    return keras.layers.Normalization(mean=mean, variance=variance, dtype="float32")


def compile_classifier(classifier, schedule, weight_decay):
    """Compiles a model that returns scores, with SGD (momentum 0.9) and cross-entropy."""
    classifier.compile(
        SGD(schedule, momentum=0.9, weight_decay=weight_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )


def train_classifier(classifier, train_batches, epochs, verbose):
    """Trains a compiled classifier; `train_batches` may be any iterable that can be repeated.

    A generator is passed to `fit`, because `fit` reads a list of batches as a list of arrays.
    """
    batches = (batch for _ in range(epochs) for batch in train_batches)
    steps = count_batches(train_batches)
    arguments = {"steps_per_epoch": steps, "epochs": epochs, "verbose": verbose}
    classifier.fit(batches, shuffle=False, **arguments)


def evaluate_classifier(classifier, batches, train_labels, verbose):
    """Computes the accuracies of a classifier of the classes 0 to C - 1 on labelled batches."""
    scores, labels, _ = extract_features(classifier, batches, verbose=verbose)
    labels = check_labels(scores, labels=labels)
    check_classes(train_labels, labels)
    return compute_accuracies(rank_classes(scores, np.arange(scores.shape[1])), labels)


def count_batches(train_batches):
    """Counts the batches of an epoch, which learning rate schedules need."""
    try:
        return len(train_batches)
    except TypeError:
        raise ValueError(
            "Argument `train_batches` must have a known length: use "
            "`keras_isd.data.one_view_dataset` with a source, or "
            "`tf.data.experimental.assert_cardinality`. "
            f"Received: {train_batches}"
        ) from None
