"""What the classifiers of the protocols are made of."""

import keras
import numpy as np

from keras_isd.evaluation.accuracy import accuracies, rank
from keras_isd.evaluation.features import extract_features
from keras_isd.optimizers import SGD
from keras_isd.validation.features import check_classes, check_labels


def mean_and_variance(features):
    """Of each column, the variance unbiased and, as the authors have it, 1e-5 above itself."""
    mean = features.mean(axis=0, dtype="float64")
    variance = features.var(axis=0, dtype="float64", ddof=min(1, len(features) - 1))
    return mean, variance + 1e-5


def standardization(features):
    """Layer that shifts and scales features so that these ones get mean 0 and variance 1."""
    mean, variance = mean_and_variance(features)
    return keras.layers.Normalization(mean=mean, variance=variance, dtype="float32")


def compile_classifier(classifier, schedule, weight_decay):
    """Configures a model of scores for SGD with momentum 0.9 and cross-entropy."""
    classifier.compile(
        SGD(schedule, momentum=0.9, weight_decay=weight_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )


def train_classifier(classifier, train_batches, epochs, verbose):
    """Trains a model of scores; `train_batches` may be any iterable that can be gone through again.

    `fit` itself takes a list for one of arrays.
    """
    batches = (batch for _ in range(epochs) for batch in train_batches)
    steps = number_of_batches(train_batches)
    arguments = {"steps_per_epoch": steps, "epochs": epochs, "verbose": verbose}
    classifier.fit(batches, shuffle=False, **arguments)


def classify(classifier, batches, train_labels, verbose):
    """Accuracies of a model of scores, one for each class from 0, on batches with labels."""
    found = extract_features(classifier, batches, verbose=verbose)
    labels = check_labels(found.features, labels=found.labels)
    check_classes(train_labels, labels)
    return accuracies(rank(found.features, np.arange(found.features.shape[1])), labels)


def number_of_batches(train_batches):
    """How many there are in an epoch, which the schedules need."""
    try:
        return len(train_batches)
    except TypeError:
        raise ValueError(
            "Argument `train_batches` must be of a known length, as "
            "`keras_isd.data.one_view_dataset` of a source is, or "
            "`tf.data.experimental.assert_cardinality` makes it. "
            f"Received: {train_batches}"
        ) from None
