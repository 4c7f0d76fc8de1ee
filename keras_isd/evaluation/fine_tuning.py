"""The whole network trained on, with labels, from what it has learned without."""

import keras
import numpy as np

from keras_isd.evaluation.classifier import (
    classify,
    compile_classifier,
    number_of_batches,
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
    """Accuracy of a copy of a backbone that is trained whole, with a linear layer, on labels.

    SGD with momentum 0.9 and half a cosine of the learning rate, epoch by epoch. The backbone that
    is given stays as it is.

    Args:
        backbone: built `keras.Model` from images to features `(B, F)`.
        train_batches: random views and labels `(B,)` >= 0, such as
            `keras_isd.data.one_view_dataset` with a `shuffle_buffer` gives; each pass is an epoch.
        batches: what is to be classified, and its labels.
        epochs: int.
        learning_rate: float > 0, of the first epoch.
        weight_decay: float >= 0.
        seed: int, which fixes the linear layer's initial weights.
        verbose: as for `keras.Model.fit`.

    Returns:
        Dict with `"top1"`, `"top5"` and `"per_class"`: see `knn_accuracy`.

    Raises:
        ValueError: if labels are missing, a class is to be found of which there are no examples,
            or `train_batches` has no known length.

    Source: the fine-tuning on 1 % and 10 % of the labels in Grill et al., "Bootstrap your own
    latent", 2020, without its search over learning rates.

    Example:

    >>> backbone = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    >>> batches = [(np.random.rand(4, 8, 8, 3), np.array([0, 1, 2, 1]))] * 2
    >>> found = keras_isd.evaluation.fine_tune(backbone, batches, batches, epochs=2)
    >>> sorted(found)
    ['per_class', 'top1', 'top5']
    """
    train_labels = _labels(train_batches)
    classifier = _classifier_on(backbone, int(train_labels.max()) + 1, seed)
    _train(classifier, train_batches, epochs, learning_rate, weight_decay, verbose)
    return classify(classifier, batches, train_labels, verbose)


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
    """Classifier of a copy of a backbone that is trained whole, with a linear layer, on labels.

    It is what `fine_tune` measures, to keep and to use. The backbone that is given stays as it is.

    Args:
        classes: int, how many there are: labels lie in [0, classes).
        backbone, train_batches, epochs, learning_rate, weight_decay, seed, verbose: see
            `fine_tune`.

    Returns:
        `keras.Model` from views to scores `(B, classes)`, of which a softmax makes probabilities.

    Raises:
        ValueError: if `classes` is not a positive integer, labels are missing or not below it, or
            `train_batches` has no known length.

    Example:

    >>> backbone = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    >>> batches = [(np.random.rand(4, 8, 8, 3), np.array([0, 1, 2, 1]))] * 2
    >>> classifier = keras_isd.evaluation.fine_tuned_classifier(backbone, batches, 3, epochs=1)
    >>> classifier.output_shape
    (None, 3)
    """
    check_positive_integer("classes", classes)
    if (most := _labels(train_batches).max()) >= classes:
        raise ValueError(
            f"Argument `classes` must be above all labels. Received: {classes=}, a label {most}"
        )
    classifier = _classifier_on(backbone, classes, seed)
    _train(classifier, train_batches, epochs, learning_rate, weight_decay, verbose)
    return classifier


def _classifier_on(backbone, classes, seed):
    """A copy of a backbone with a linear layer, from views to scores."""
    views = keras.Input(backbone.input_shape[1:])
    features = clone(backbone, "backbone")(views)
    scores = linear(features.shape[-1], classes, seed=seed, dtype="float32")(features)
    return keras.Model(views, scores)


def _train(classifier, train_batches, epochs, learning_rate, weight_decay, verbose):
    schedule = epoch_cosine(learning_rate, epochs, number_of_batches(train_batches))
    compile_classifier(classifier, schedule, weight_decay)
    train_classifier(classifier, train_batches, epochs, verbose)


def _labels(batches):
    parts = []
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise ValueError(
                "Argument `train_batches` must be of pairs of images and labels. "
                f"Received: {type(batch)}"
            )
        parts.append(keras.ops.convert_to_numpy(batch[1]))
    labels = np.concatenate(parts)
    return check_labels(labels, train_labels=labels)
