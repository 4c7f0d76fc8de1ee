"""A grid of panels, and where it is saved: what all figures share."""

from keras_isd.compat.optional_imports import needs_extra


def new_grid(rows, columns, width, height, ticks=True):
    """Returns a `Figure` and its axes, an array `(rows, columns)`.

    `width` and `height` are those of one panel, in inches.
    """
    with needs_extra("plots"):
        from matplotlib.figure import Figure  # no state of pyplot, and no window

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    if not ticks:
        for axis in axes.flat:
            axis.set(xticks=[], yticks=[])
    return figure, axes


def save(figure, path):
    """Writes a figure to `path`, unless that is None."""
    if path is not None:
        figure.savefig(path, dpi=150)
