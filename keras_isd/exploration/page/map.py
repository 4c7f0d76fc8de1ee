"""The map of the explorer: points drawn by Bokeh, and their colours."""

import html
from typing import NamedTuple

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.visualization.figure import class_colors

_NONE = "#b0b0b0"
# Bokeh's events, each with the function of explorer.js that it calls.
_EVENTS = {"mousemove": "hover", "mouseleave": "leave", "tap": "tap"}


class Grouping(NamedTuple):
    """A grouping of images that can colour the points.

    Attributes:
        kind: str, such as `"class"`.
        values: `(N,)` integers, -1 for no group.
        codes: `(N,)` integers, the index of each image's name.
        names: list of str.
        colors: list of str, one per name.
    """

    kind: str
    values: np.ndarray
    codes: np.ndarray
    names: list[str]
    colors: list[str]

    def for_script(self):
        """The part that explorer.js reads."""
        return {"kind": self.kind, "names": self.names, "codes": self.codes.tolist()}

    def legend(self, hidden):
        """HTML of the names with their colours; a click on one dims the others."""
        items = (
            f'<li><button type="button" data-code="{code}" aria-pressed="false">'
            f'<i style="background:{color}"></i>{html.escape(name)} '
            f"<small>{np.count_nonzero(self.codes == code):,}</small></button></li>"
            for code, (name, color) in enumerate(zip(self.names, self.colors))
        )
        state = " hidden" if hidden else ""
        return f'<ul class="legend" data-kind="{self.kind}"{state}>{"".join(items)}</ul>'


def make_grouping(kind, values, name_of, none):
    """Makes a `Grouping` by integers; negative ones are grey with the name `none`."""
    values = np.maximum(values, -1)
    found, codes = np.unique(values, return_inverse=True)
    colors = iter(class_colors(int((found >= 0).sum())))
    return Grouping(
        kind,
        values,
        codes.reshape(-1),
        [none if value < 0 else name_of(value) for value in found.tolist()],
        [_NONE if value < 0 else next(colors) for value in found],
    )


def draw_map(points, groupings):
    """Draws the map: its HTML, its script, and Bokeh's library.

    Args:
        points: `(2, N)` array.
        groupings: list of `Grouping`; the first colours the map.

    Returns:
        Triple of str.
    """
    with needs_extra("plots"):
        from bokeh.embed import components
        from bokeh.resources import Resources

    script, place = components(_figure(points.astype("float32"), groupings))
    # Without the parts for widgets, tables, formulas and WebGL.
    library = Resources("inline", components=["bokeh"]).render_js()
    return place, script, library


def _figure(points, groupings):
    from bokeh.models import ColumnDataSource, CustomJS, Range1d
    from bokeh.plotting import figure

    x, y = points
    plot = figure(
        name="map",
        sizing_mode="stretch_both",
        # WebGL without a graphics card moves 20,000 points many times slower.
        output_backend="canvas",
        tools="pan,wheel_zoom,box_zoom,reset",
        active_scroll="wheel_zoom",
        x_range=Range1d(*_limits(x)),
        y_range=Range1d(*_limits(y)),
        min_border=0,
        # During interaction with more points than this, one in five is drawn.
        lod_threshold=10_000,
        lod_factor=5,
    )
    plot.toolbar.logo = None  # it is a link
    plot.axis.visible = False  # coordinates have no unit
    plot.grid.visible = False
    plot.outline_line_color = "#d8dce2"
    columns = {"x": x, "y": y, "alpha": np.full(len(x), 0.8, "float32")}
    for by in groupings:
        columns[by.kind] = _rgb(by.colors)[by.codes]
    size = float(np.interp(np.log10(len(x)), [2, 4.5], [10, 4]))
    plot.scatter(
        source=ColumnDataSource(columns, name="points"),
        size=size,
        fill_color={"field": groupings[0].kind} if groupings else class_colors(1)[0],
        fill_alpha={"field": "alpha"},
        line_color=None,
        name="dots",
    )
    marks = ColumnDataSource({"x": [], "y": [], "size": []}, name="marks")
    plot.scatter(source=marks, size="size", fill_color=None, line_color="#111111", line_width=2)
    for event, function in _EVENTS.items():
        plot.js_on_event(event, CustomJS(code=f"explorer.{function}(cb_obj)"))
    return plot


def _limits(values):
    """A little beyond the least and the largest."""
    low, high = float(values.min()), float(values.max())
    room = 0.04 * (high - low) or 1.0
    return low - room, high + room


def _rgb(colors):
    parts = [[int(color[at : at + 2], 16) for at in (1, 3, 5)] for color in colors]
    return np.array([[*part, 255] for part in parts], "uint8")
