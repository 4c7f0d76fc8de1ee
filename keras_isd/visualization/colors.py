"""Colours that tell classes apart, however many there are."""

import colorsys

# Of matplotlib, whose first ten are told apart by most eyes.
_TEN = (
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
_GOLDEN = 0.618034  # of a turn: each hue is then far from those shortly before


def class_colors(count):
    """So many colours, `"#rrggbb"`; beyond ten of hues all around, dark and light in turn."""
    if count <= len(_TEN):
        return list(_TEN[:count])
    return [_color(index * _GOLDEN % 1, (0.38, 0.55, 0.7)[index % 3]) for index in range(count)]


def _color(hue, lightness):
    parts = colorsys.hls_to_rgb(hue, lightness, 0.65)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)
