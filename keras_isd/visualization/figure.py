"""Grids of panels, colours and saving, which all figures share."""

import colorsys
import pathlib

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.files import atomic_path


def new_grid(rows, columns, width, height, ticks=True):
    """Makes a `Figure` and its axes `(rows, columns)`, with panels of a size in inches."""
    with needs_extra("plots"):
        from matplotlib.figure import Figure  # without pyplot's global state and windows

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    if not ticks:
        for axis in axes.flat:
            axis.set(xticks=[], yticks=[])
    return figure, axes


def save(figure, path):
    """Saves a figure to `path`, unless that is None."""
    if path is not None:
        path = pathlib.Path(path)
        with atomic_path(path if path.suffix else path.with_suffix(".png")) as unfinished:
            figure.savefig(unfinished, dpi=150)


# matplotlib's first ten, which most eyes distinguish.
_FIRST_COLORS = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
)
_HUE_STEP = 0.618034  # of a turn, the golden ratio: each hue is far from the ones before


def class_colors(count):
    """Makes so many colours, `"#rrggbb"`; beyond ten, hues all around, dark and light in turn."""
    if count <= len(_FIRST_COLORS):
        return list(_FIRST_COLORS[:count])
    return [_color(index * _HUE_STEP % 1, (0.38, 0.55, 0.7)[index % 3]) for index in range(count)]


def _color(hue, lightness):
    parts = colorsys.hls_to_rgb(hue, lightness, 0.65)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)
