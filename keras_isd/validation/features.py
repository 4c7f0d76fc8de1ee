"""Checks of features and labels, shared by all evaluation protocols."""

import numpy as np


def check_features(**named):
    """Raises a ValueError unless all features are finite, `(rows, width)` and of the same width."""
    widths = {}
    for name, features in named.items():
        shape = np.shape(features)
        if len(shape) != 2 or 0 in shape:
            raise ValueError(
                f"Argument `{name}` must have shape (rows, width), with at least one row. "
                f"Received: shape {shape}"
            )
        for start in range(0, shape[0], 10_000):
            finite = np.isfinite(features[start : start + 10_000]).all(axis=1)
            if not finite.all():
                row = start + int(np.argmin(finite))
                raise ValueError(
                    f"Argument `{name}` must be finite. Received: NaN or infinity in row {row}"
                )
        widths[name] = shape[1]
    if len(set(widths.values())) > 1:
        raise ValueError(f"Features must have the same width. Received: {widths}")


def check_labels(features, **named):
    """Checks the labels of features and returns them as an array.

    Args:
        features: `(N, F)` array.
        **named: the labels under the name of their argument: `(N,)` integers >= 0.

    Returns:
        `(N,)` array of integers.

    Raises:
        ValueError: if labels are None, negative, not integers, or not one for each row.
    """
    [(name, labels)] = named.items()
    if labels is None:
        raise ValueError(f"Argument `{name}` must hold the classes of the features. Received: None")
    labels = np.asarray(labels)
    if labels.shape != (len(features),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"Argument `{name}` must hold one integer label for each of the {len(features)} rows. "
            f"Received: shape {labels.shape}, {labels.dtype}"
        )
    if labels.min() < 0:
        raise ValueError(
            f"Argument `{name}` must be known classes, 0 or above. "
            f"Received: label {labels.min()} of row {int(labels.argmin())}"
        )
    return labels


def check_sets(train_features, train_labels, features, labels):
    """Checks a training set and a test set, and returns the labels of both as arrays."""
    check_features(train_features=train_features, features=features)
    train_labels = check_labels(train_features, train_labels=train_labels)
    labels = check_labels(features, labels=labels)
    check_classes(train_labels, labels)
    return train_labels, labels


def check_classes(train_labels, labels):
    """Raises a ValueError if a class of `labels` has no example in `train_labels`."""
    unseen = sorted(set(np.unique(labels).tolist()) - set(np.unique(train_labels).tolist()))
    if unseen:
        raise ValueError(
            "Argument `labels` must be classes that `train_labels` has examples of. "
            f"Received: {len(unseen)} other classes, such as {unseen[:5]}"
        )
