"""Rows of images: clusters, duplicates, neighbours."""

import functools

from keras_isd.visualization.figure import new_grid, save
from keras_isd.visualization.pixels import scale_to_unit, select_rgb, unit_scale

SAMPLED_IMAGES = 200  # from which the range of values is found


def plot_image_rows(
    images, rows, titles=None, columns=10, captions=None, value_range=None, path=None
):
    """Draws groups of images, one row per group.

    Args:
        images: `(N, H, W, C)` array, or an `ImageSource`, whose images may differ in size.
        rows: list of lists of row numbers: the groups.
        titles: list of str, the titles of the rows. Defaults to the numbers of images.
        columns: int, the maximum number of images in a row. Defaults to 10.
        captions: list of lists of str, the captions above the images. Defaults to None.
        value_range: pair, the values of black and white. Defaults to (0, 255) for 8-bit images, and
            to percentiles of all images together for other depths.
        path: where to save the figure, or None. Defaults to None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if `rows` is empty.

    Example:

    >>> images = np.random.randint(0, 256, (6, 8, 8, 3)).astype("uint8")
    >>> figure = keras_isd.visualization.plot_image_rows(images, [[0, 5], [1, 2, 3]])
    >>> [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    ['2', '3']
    """
    if not len(rows):
        raise ValueError(f"Argument `rows` must have at least one group. Received: {rows}")
    shown = sorted({int(row) for group in rows for row in group})[:SAMPLED_IMAGES]
    scale = unit_scale([images[row] for row in shown])
    if value_range is not None:
        scale = functools.partial(scale_to_unit, value_range=value_range)
    columns = max(1, min(columns, max(len(group) for group in rows)))
    height = 1.05 if captions is None else 1.3
    figure, axes = new_grid(len(rows), columns, 1.0, height, ticks=False)
    for number, (line, group) in enumerate(zip(axes, rows, strict=True)):
        title = f"{len(group):,}" if titles is None else titles[number]
        line[0].set_ylabel(title, rotation=0, ha="right", va="center")
        for axis in line:
            axis.set_frame_on(False)
        for place, (axis, row) in enumerate(zip(line, group)):
            axis.imshow(
                select_rgb(scale(images[int(row)])),
                cmap="gray",
                vmin=0,
                vmax=1,
            )
            if captions is not None:
                axis.set_title(captions[number][place], fontsize=7)
    save(figure, path)
    return figure
