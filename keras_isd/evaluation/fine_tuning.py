"""Fine-tunes a pretrained backbone with labels."""

import keras
import numpy as np

from keras_isd.evaluation.classifier import (
    compile_classifier,
    count_batches,
    evaluate_classifier,
    train_classifier,
)
from keras_isd.heads import linear
from keras_isd.models.teacher import clone
from keras_isd.optimizers import epoch_cosine
from keras_isd.validation.arguments import check_positive_integer
from keras_isd.validation.features import check_labels


def fine_tune(
    backbone,
    train_batches,
    batches,
    epochs=20,
    learning_rate=0.01,
    weight_decay=1e-4,
    seed=0,
    verbose=0,
):
    """Fine-tunes a copy of a backbone with a linear layer, and computes its accuracy.

    The optimizer is SGD with momentum 0.9; the learning rate follows half a cosine, epoch by epoch.
    The given backbone does not change.

    Args:
        backbone: built `keras.Model` from images to features `(B, F)`.
        train_batches: iterable of pairs (random views, integer labels `(B,)` >= 0), such as
            `keras_isd.data.one_view_dataset` with a `shuffle_buffer` makes. Each pass is an epoch.
        batches: iterable of pairs (views, labels), to evaluate on.
        epochs: int. Defaults to 20.
        learning_rate: float > 0, in the first epoch. Defaults to 0.01.
        weight_decay: float >= 0. Defaults to 1e-4.
        seed: int, which fixes the linear layer's initial weights. Defaults to 0.
        verbose: as for `keras.Model.fit`. Defaults to 0.

    Returns:
        Dict with `"top1"`, `"top5"` and `"per_class"`: see `knn_accuracy`.

    Raises:
        ValueError: if labels are missing, a class of `batches` has no training example, or the
            length of `train_batches` is unknown.

    Source: the fine-tuning on 1 % and 10 % of the labels in Grill et al., "Bootstrap your own
    latent", 2020, without its search over learning rates.

    Example:

    >>> backbone = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    >>> batches = [(np.random.rand(4, 8, 8, 3), np.array([0, 1, 2, 1]))] * 2
    >>> found = keras_isd.evaluation.fine_tune(backbone, batches, batches, epochs=2)
    >>> sorted(found)
    ['per_class', 'top1', 'top5']
    """
    train_labels = _read_labels(train_batches)
    classifier = _make_classifier(backbone, int(train_labels.max()) + 1, seed)
    _train(classifier, train_batches, epochs, learning_rate, weight_decay, verbose)
    return evaluate_classifier(classifier, batches, train_labels, verbose)


def fine_tuned_classifier(
    backbone,
    train_batches,
    classes,
    epochs=20,
    learning_rate=0.01,
    weight_decay=1e-4,
    seed=0,
    verbose=0,
):
    """Fine-tunes a copy of a backbone with a linear layer, and returns the classifier.

    `fine_tune` measures this classifier's accuracy. The given backbone does not change.

    Args:
        classes: int, number of classes; labels lie in [0, classes).
        backbone, train_batches, epochs, learning_rate, weight_decay, seed, verbose: see
            `fine_tune`.

    Returns:
        `keras.Model` from views to scores `(B, classes)`; their softmax gives probabilities.

    Raises:
        ValueError: if `classes` is not a positive integer, labels are missing or not below
            `classes`, or the length of `train_batches` is unknown.

    Example:

    >>> backbone = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    >>> batches = [(np.random.rand(4, 8, 8, 3), np.array([0, 1, 2, 1]))] * 2
    >>> classifier = keras_isd.evaluation.fine_tuned_classifier(backbone, batches, 3, epochs=1)
    >>> classifier.output_shape
    (None, 3)
    """
    check_positive_integer("classes", classes)
    if (largest := _read_labels(train_batches).max()) >= classes:
        raise ValueError(
            "Argument `classes` must be larger than every label. "
            f"Received: {classes=}, a label {largest}"
        )
    classifier = _make_classifier(backbone, classes, seed)
    _train(classifier, train_batches, epochs, learning_rate, weight_decay, verbose)
    return classifier


def _make_classifier(backbone, classes, seed):
    """Copies a backbone and adds a linear layer, from views to scores."""
    views = keras.Input(backbone.input_shape[1:])
    features = clone(backbone, "backbone")(views)
    scores = linear(features.shape[-1], classes, seed=seed, dtype="float32")(features)
    return keras.Model(views, scores)


def _train(classifier, train_batches, epochs, learning_rate, weight_decay, verbose):
    schedule = epoch_cosine(learning_rate, epochs, count_batches(train_batches))
    compile_classifier(classifier, schedule, weight_decay)
    train_classifier(classifier, train_batches, epochs, verbose)


def _read_labels(batches):
    """Reads the labels of all training batches."""
    parts = []
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise ValueError(
                "Argument `train_batches` must be an iterable of pairs (views, labels). "
                f"Received: a batch of {type(batch)}"
            )
        parts.append(keras.ops.convert_to_numpy(batch[1]))
    labels = np.concatenate(parts)
    return check_labels(labels, train_labels=labels)
