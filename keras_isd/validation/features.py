"""What every protocol asks of its features and labels."""

import numpy as np


def check_features(**named):
    """Raises a ValueError for features that are not `(rows, width)`, finite, or of one width."""
    widths = {}
    for name, features in named.items():
        shape = np.shape(features)
        if len(shape) != 2 or 0 in shape:
            raise ValueError(
                f"Argument `{name}` must be of shape (rows, width), with at least one row. "
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
        raise ValueError(f"Features must be of one width. Received: {widths}")


def checked_labels(features, **named):
    """The labels, the one argument given by name, as an array of one class for each row."""
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


def checked_sets(train_features, train_labels, features, labels):
    """The labels of features to learn from and of features to classify, once all are right."""
    check_features(train_features=train_features, features=features)
    train_labels = checked_labels(train_features, train_labels=train_labels)
    labels = checked_labels(features, labels=labels)
    check_classes(train_labels, labels)
    return train_labels, labels


def check_classes(train_labels, labels):
    """Raises a ValueError for classes to tell apart of which there is nothing to learn from."""
    unseen = sorted(set(np.unique(labels).tolist()) - set(np.unique(train_labels).tolist()))
    if unseen:
        raise ValueError(
            "Argument `labels` must be classes that `train_labels` has examples of. "
            f"Received: {len(unseen)} others, such as {unseen[:5]}"
        )
