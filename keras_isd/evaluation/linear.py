"""The authors' linear probe on frozen features."""

import keras
import numpy as np

from keras_isd.data.batches.array_batches import ArrayBatches
from keras_isd.evaluation.accuracy import compute_accuracies, rank_classes
from keras_isd.evaluation.classifier import (
    compile_classifier,
    count_batches,
    evaluate_classifier,
    make_standardization,
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
    """Trains a linear layer on fixed features by the authors' protocol; returns its accuracy.

    Features are divided by their length, then standardised by the mean and the variance of the
    training features. The linear layer is trained with SGD with momentum 0.9; the learning rate is
    divided by ten at two epochs. Each image has a single feature vector here, whereas the paper's
    results use random crops: see `linear_probe_on_images`.

    Args:
        train_features: `(N, F)` array.
        train_labels: `(N,)` integers >= 0.
        features: `(M, F)` array, to classify.
        labels: `(M,)` integers >= 0, each among `train_labels`.
        epochs: int. Defaults to 40.
        drop_epochs: ints, the epochs, counted from 0, at which the learning rate drops. Defaults to
            (15, 30).
        batch_size: int. Defaults to 256.
        learning_rate: float > 0. Defaults to 0.01.
        weight_decay: float >= 0. Defaults to 1e-4.
        seed: int, which fixes initial weights and order. Defaults to 0.
        verbose: as for `keras.Model.fit`. Defaults to 0.

    Returns:
        Dict with `"top1"`, `"top5"` and `"per_class"`: see `knn_accuracy`.

    Raises:
        ValueError: if features or labels are invalid, as for `knn_accuracy`.

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
        make_standardization(train_features),
        linear(width, len(classes), seed=seed, dtype="float32"),
    ]
    classifier = keras.Sequential([keras.Input((width,)), *layers])
    batches = ArrayBatches(train_features, targets, batch_size=batch_size, seed=seed)
    schedule = epoch_steps(learning_rate, drop_epochs, len(batches), factor=0.1)
    compile_classifier(classifier, schedule, weight_decay)
    classifier.fit(batches, epochs=epochs, shuffle=False, verbose=verbose)
    scores = classifier.predict(unit_rows(features), batch_size=4096, verbose=0)
    return compute_accuracies(rank_classes(scores, classes), labels)


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
    """Trains a linear layer on the features of random crops, as the paper does; returns accuracy.

    In contrast to `linear_probe`, each epoch uses other views of the images, which costs a forward
    pass of the backbone. The backbone does not change.

    Args:
        backbone: built `keras.Model` from images to features `(B, F)`.
        train_batches: iterable of pairs (random views, integer labels `(B,)` >= 0), such as
            `keras_isd.data.one_view_dataset` with a `shuffle_buffer` makes. Each pass is an epoch.
        reference_batches: iterable of pairs (views, labels) of the training images without random
            augmentation; mean and variance are computed from them.
        batches: iterable of pairs (views, labels), to evaluate on.
        epochs, drop_epochs, learning_rate, weight_decay, seed, verbose: see `linear_probe`.

    Returns:
        Dict with `"top1"`, `"top5"` and `"per_class"`: see `knn_accuracy`.

    Raises:
        ValueError: if labels are missing, a class of `batches` has no training example, or the
            length of `train_batches` is unknown.

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
    steps = count_batches(train_batches)
    reference = extract_features(backbone, reference_batches, verbose=verbose)
    train_labels = check_labels(reference.features, labels=reference.labels)
    frozen = clone(backbone, "backbone")
    frozen.trainable = False
    images = keras.Input(backbone.input_shape[1:])
    features = keras.layers.UnitNormalization(dtype="float32")(frozen(images, training=False))
    features = make_standardization(unit_rows(reference.features))(features)
    classes = int(train_labels.max()) + 1
    scores = linear(features.shape[-1], classes, seed=seed, dtype="float32")(features)
    classifier = keras.Model(images, scores)
    schedule = epoch_steps(learning_rate, drop_epochs, steps, factor=0.1)
    compile_classifier(classifier, schedule, weight_decay)
    train_classifier(classifier, train_batches, epochs, verbose)
    return evaluate_classifier(classifier, batches, train_labels, verbose)
