"""The course of a run."""

from keras_isd.visualization.figure import new_grid, save

# What a panel is called, and the metrics that are drawn in it.
_PANELS = {
    "loss, nats": ("loss",),
    "teacher's entropy, nats": ("teacher_entropy",),
    "purity": ("purity",),
    "spread of embeddings": ("embedding_std",),
    "k-NN accuracy": ("knn_student", "knn_teacher"),
    "linear probe accuracy": ("linear_student", "linear_teacher"),
    "other view nearest": ("view_retrieval",),
    "neighbours kept": ("neighbor_stability",),
    "rank of features": ("feature_rank",),
    "rank of keys": ("effective_rank",),
}
COLUMNS = 4  # of panels


def plot_history(history, path=None):
    """Draws the metrics of a run over its epochs, student and teacher in one panel.

    Only what the run has logged is drawn. In a healthy run the loss first rises while the queue
    fills, then falls; purity, spread and accuracies rise, the teacher's ahead of the student's
    until the learning rate falls.

    Args:
        history: `keras.callbacks.History`, as `fit` returns it, or a dict from names of metrics to
            their values in each epoch. A shorter list, as of a metric that is measured every few
            epochs, is spread over all epochs.
        path: where to save the figure, or None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there is nothing of a run in it.

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
    columns = min(len(panels), COLUMNS)
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
    """Epochs, from 1, of so many values; evenly spread from the first to the last."""
    if count == 1:
        return [epochs]
    return [1 + place * (epochs - 1) / (count - 1) for place in range(count)]
