"""Metrics of a run by epoch."""

import csv
import math

from keras_isd.visualization.figure import new_grid, save

# Title of each panel, and its metrics.
_PANELS = {
    "loss, nats": ("loss",),
    "teacher's entropy, nats": ("teacher_entropy",),
    "purity": ("purity",),
    "spread of embeddings": ("embedding_std",),
    "k-NN accuracy": ("knn_student", "knn_teacher"),
    "linear probe accuracy": ("linear_student", "linear_teacher"),
    "view retrieval": ("view_retrieval",),
    "neighbor stability": ("neighbor_stability",),
    "rank of features": ("feature_rank",),
    "rank of keys": ("effective_rank",),
}
PANEL_COLUMNS = 4


def plot_history(history, path=None):
    """Draws the logged metrics of a run by epoch, student and teacher in one panel.

    In a healthy run the loss first rises while the queue fills, then falls; purity, spread and
    accuracies rise, the teacher's ahead of the student's until the learning rate falls.

    Args:
        history: `keras.callbacks.History`, as `fit` returns it, or a dict from names of metrics to
            their values by epoch. A shorter list, of a metric that is measured every few epochs, is
            spread evenly over all epochs.
        path: where to save the figure, or None. Defaults to None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if it has no metric of a run.

    Example:

    >>> figure = keras_isd.visualization.plot_history(
    ...     {"loss": [3.0, 2.0], "knn_student": [0.2, 0.4], "knn_teacher": [0.3, 0.5]}
    ... )
    >>> [axes.get_title() for axes in figure.axes]
    ['loss, nats', 'k-NN accuracy']
    """
    logs = getattr(history, "history", history)
    panels = {
        title: {name: logs[name] for name in names if logs.get(name)}
        for title, names in _PANELS.items()
    }
    panels = {title: curves for title, curves in panels.items() if curves}
    if not panels:
        raise ValueError(
            "Argument `history` must have metrics of `fit`, such as `loss`. "
            f"Received: {sorted(logs)}"
        )
    epochs = max(len(values) for values in logs.values())
    columns = min(len(panels), PANEL_COLUMNS)
    figure, axes = new_grid(-(-len(panels) // columns), columns, 3.2, 2.6)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (title, curves) in zip(axes.flat, panels.items()):
        for name, values in curves.items():
            axis.plot(_places(len(values), epochs), values, label=name.rpartition("_")[2])
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        if len(curves) > 1:
            axis.legend(frameon=False)
    save(figure, path)
    return figure


def _places(count, epochs):
    """The epochs, from 1, of so many values that are evenly spread from the first to the last."""
    if count == 1:
        return [epochs]
    return [1 + place * (epochs - 1) / (count - 1) for place in range(count)]


def read_csv_log(path):
    """Reads the metrics of a run by epoch, for `plot_history`.

    The list of a metric has no entry for epochs without a value. Validation metrics are left out:
    `plot_history` has no panel for them.

    Args:
        path: path of the file of a `keras.callbacks.CSVLogger`.

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
    """A logged value, or None if the cell has none."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(value) else value
