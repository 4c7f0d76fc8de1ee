"""Labels as integers, from the numbers or class names of lists and tables."""

import numbers

import numpy as np


def column_labels(values, class_names=None):
    """Converts the labels of a table to integers.

    Args:
        values: N integers with -1 for unknown labels, or N class names; None, NaN and "" are
            unknown, too.
        class_names: list of str, or None. Defaults to None.

    Returns:
        Pair of integers `(N,)`, and the list of class names, which is None for integers without
        one.
    """
    if isinstance(values, np.ndarray):
        if values.dtype.kind in "iu" or values.ndim != 1:
            return values, class_names
        values = values.tolist()
    values = [value.decode() if isinstance(value, bytes) else value for value in values]
    known = [value for value in values if not is_missing(value)]
    if all(isinstance(value, numbers.Real) and float(value).is_integer() for value in known):
        return [-1 if is_missing(value) else int(value) for value in values], class_names
    return number_labels(values, class_names)


def number_labels(labels, class_names):
    """Converts class names to numbers; returns the numbers and the class names."""
    labels = ["" if is_missing(label) else str(label).strip() for label in labels]
    names = sorted({*labels} - {""}) if class_names is None else list(class_names)
    number_of = {"": -1, **{name: number for number, name in enumerate(names)}}
    if unknown := sorted({*labels} - {*number_of}):
        raise ValueError(
            "Argument `class_names` must have all labels. "
            f"Received: {names[:5]} ..., without {unknown[:5]}"
        )
    return [number_of[label] for label in labels], names


def is_missing(label):
    """Whether a label is unknown: None or NaN, as pandas has them, or empty text."""
    return label is None or label != label or label == ""
