"""What rows and labels of a source must be."""

import numpy as np


def checked_rows(rows, count):
    """Row numbers of a source of `count` images, as an array of int64."""
    rows = np.asarray(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
        raise ValueError(
            f"Argument `rows` must be a list of at least one row number. Received: rows={rows}"
        )
    if rows.min() < 0 or rows.max() >= count:
        raise ValueError(
            f"Argument `rows` must lie in [0, {count}). "
            f"Received: rows from {rows.min()} to {rows.max()}"
        )
    return rows.astype("int64")


def checked_labels(labels, class_names):
    """Labels as an array of int32."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            "Argument `labels` must be integers of shape (images,). "
            f"Received: labels of shape {labels.shape}, {labels.dtype}"
        )
    limit = np.inf if class_names is None else len(class_names)
    wrong = np.flatnonzero((labels < -1) | (labels >= limit))
    if len(wrong):
        raise ValueError(
            f"Argument `labels` must lie in [-1, {limit}), -1 where unknown. "
            f"Received: label {labels[wrong[0]]} of row {wrong[0]}"
        )
    return labels.astype("int32")
