"""The authors' linear classifier on features that stand still."""

import keras
import numpy as np

from keras_isd.data.batches.array_batches import ArrayBatches
from keras_isd.evaluation.accuracy import accuracies, rank
from keras_isd.evaluation.classifier import (
    classify,
    compile_classifier,
    number_of_batches,
    standardization,
    train_classifier,
)
from keras_isd.evaluation.features import extract_features
from keras_isd.heads import linear
from keras_isd.models.teacher import clone
from keras_isd.optimizers import epoch_steps
from keras_isd.similarity.exact import unit_rows
from keras_isd.validation.features import check_labels, check_sets


def linear_probe(
    train_features,
    train_labels,
    features,
    labels,
    epochs=40,
    drop_epochs=(15, 30),
    batch_size=256,
    learning_rate=0.01,
    weight_decay=1e-4,
    seed=0,
    verbose=0,
):
    """Accuracy of a linear layer trained on fixed features, by the authors' protocol.

    Features are divided by their length, then standardised by the mean and the variance of the
    training features. A linear layer is trained by SGD with momentum 0.9, the learning rate divided
    by ten at two epochs. Each image has one feature here, where the paper's own figures are of many
    crops: those take `linear_probe_on_images`.

    Args:
        train_features: `(N, F)` array.
        train_labels: `(N,)` integers >= 0.
        features: `(M, F)` array, to classify.
        labels: `(M,)` integers >= 0, of which each class is in `train_labels`.
        epochs: int.
        drop_epochs: ints, counted from 0, the first epochs of a lower learning rate.
        batch_size: int.
        learning_rate: float > 0.
        weight_decay: float >= 0.
        seed: int, which fixes initial weights and order.
        verbose: as for `keras.Model.fit`.

    Returns:
        Dict with `"top1"`, `"top5"` and `"per_class"`: see `knn_accuracy`.

    Raises:
        ValueError: for features and labels as in `knn_accuracy`.

    Source: `eval_linear.py` of the authors, with its `Normalize` and `FullBatchNorm`.

    Example:

    >>> random = np.random.RandomState(0)
    >>> labels = random.randint(0, 3, 300)
    >>> features = np.eye(3)[labels] + 0.1 * random.randn(300, 3)
    >>> found = keras_isd.evaluation.linear_probe(
    ...     features[:200], labels[:200], features[200:], labels[200:], epochs=20, batch_size=10
    ... )
    >>> found["top1"]
    1.0
    """
    train_labels, labels = check_sets(train_features, train_labels, features, labels)
    classes, targets = np.unique(train_labels, return_inverse=True)
    train_features = unit_rows(train_features)
    width = train_features.shape[1]
    layers = [
        standardization(train_features),
        linear(width, len(classes), seed=seed, dtype="float32"),
    ]
    classifier = keras.Sequential([keras.Input((width,)), *layers])
    batches = ArrayBatches(train_features, targets, batch_size=batch_size, seed=seed)
    schedule = epoch_steps(learning_rate, drop_epochs, len(batches), factor=0.1)
    compile_classifier(classifier, schedule, weight_decay)
    classifier.fit(batches, epochs=epochs, shuffle=False, verbose=verbose)
    scores = classifier.predict(unit_rows(features), batch_size=4096, verbose=0)
    return accuracies(rank(scores, classes), labels)


def linear_probe_on_images(
    backbone,
    train_batches,
    reference_batches,
    batches,
    epochs=40,
    drop_epochs=(15, 30),
    learning_rate=0.01,
    weight_decay=1e-4,
    seed=0,
    verbose=0,
):
    """Accuracy of a linear layer trained on the features of random crops, as the paper's figures.

    As `linear_probe`, but each epoch sees other views of the images, at the cost of the backbone's
    forward pass. The backbone stays as it is.

    Args:
        backbone: built `keras.Model` from images to features `(B, F)`.
        train_batches: random views and labels `(B,)` >= 0, such as
            `keras_isd.data.one_view_dataset` with a `shuffle_buffer` gives; each pass is an epoch.
        reference_batches: the training images as they are, and their labels, for mean and variance.
        batches: what is to be classified, and its labels.
        epochs, drop_epochs, learning_rate, weight_decay, seed, verbose: see `linear_probe`.

    Returns:
        Dict with `"top1"`, `"top5"` and `"per_class"`: see `knn_accuracy`.

    Raises:
        ValueError: if labels are missing, a class is to be found of which there are no examples,
            or `train_batches` has no known length.

    Source: `eval_linear.py` of the authors.

    Example:

    >>> backbone = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    >>> batches = [(np.random.rand(4, 8, 8, 3), np.array([0, 1, 2, 1]))] * 2
    >>> found = keras_isd.evaluation.linear_probe_on_images(
    ...     backbone, batches, batches, batches, epochs=2
    ... )
    >>> sorted(found)
    ['per_class', 'top1', 'top5']
    """
    steps = number_of_batches(train_batches)
    reference = extract_features(backbone, reference_batches, verbose=verbose)
    train_labels = check_labels(reference.features, labels=reference.labels)
    frozen = clone(backbone, "backbone")
    frozen.trainable = False
    images = keras.Input(backbone.input_shape[1:])
    features = keras.layers.UnitNormalization(dtype="float32")(frozen(images, training=False))
    features = standardization(unit_rows(reference.features))(features)
    classes = int(train_labels.max()) + 1
    scores = linear(features.shape[-1], classes, seed=seed, dtype="float32")(features)
    classifier = keras.Model(images, scores)
    schedule = epoch_steps(learning_rate, drop_epochs, steps, factor=0.1)
    compile_classifier(classifier, schedule, weight_decay)
    train_classifier(classifier, train_batches, epochs, verbose)
    return classify(classifier, batches, train_labels, verbose)
