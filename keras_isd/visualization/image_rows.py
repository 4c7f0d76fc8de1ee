"""Rows of images: clusters, duplicates, neighbours."""

import numpy as np

from keras_isd.visualization.figure import new_grid, save
from keras_isd.visualization.views import select_rgb


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
            to each image's minimum and maximum otherwise.
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
                select_rgb(scale_to_unit(images[int(row)], value_range)),
                cmap="gray",
                vmin=0,
                vmax=1,
            )
            if captions is not None:
                axis.set_title(captions[number][place], fontsize=7)
    save(figure, path)
    return figure


def scale_to_unit(image, value_range=None):
    """Scales an image to [0, 1]."""
    image = np.asarray(image)
    if value_range is None:
        value_range = (0, 255) if image.dtype == "uint8" else (image.min(), image.max())
    low, high = value_range
    return np.clip((image.astype("float32") - low) / max(high - low, 1e-12), 0, 1)
