"""The metrics that `keras.callbacks.CSVLogger` has written, to draw them again."""

import csv
import math


def read_csv_log(path):
    """Reads the metrics of a run by epoch, as `plot_history` draws them.

    Epochs in which a metric was not measured are left out of its list; validation metrics are left
    out too, as `plot_history` has no panel for them.

    Args:
        path: file of a `keras.callbacks.CSVLogger`.

    Returns:
        Dict from names of metrics to lists of floats.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "run.csv")
    >>> _ = path.write_text("epoch,knn_student,loss\\n0,NA,3.0\\n1,0.5,2.0\\n")
    >>> log = keras_isd.visualization.read_csv_log(path)
    >>> log["loss"], log["knn_student"]
    ([3.0, 2.0], [0.5])
    """
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    history = {}
    for name in rows[0] if rows else ():
        values = [value for value in map(_number, (row[name] for row in rows)) if value is not None]
        if values and not name.startswith("val_"):
            history[name] = values
    return history


def _number(text):
    """A logged value, or None where an epoch has none."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(value) else value
