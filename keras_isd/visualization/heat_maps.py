"""Images with a heat map on them."""

import numpy as np

from keras_isd.visualization.figure import new_grid, save
from keras_isd.visualization.pixels import select_rgb, unit_scale

MAX_OPACITY = 0.6


def plot_heat_maps(images, heat_maps, limits=None, captions=None, columns=5, path=None):
    """Draws each image, and next to it the image with its heat map on it.

    Args:
        images: list of N arrays `(H, W, C)`, which may differ in size.
        heat_maps: list of N arrays `(rows, columns)`, which are spread over the whole image.
        limits: pair, the values that are transparent and strongest. Defaults to the minimum and
            maximum of all maps.
        captions: list of N str, above the images. Defaults to None.
        columns: int, the maximum number of images in a row. Defaults to 5.
        path: where to save the figure, or None. Defaults to None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there is no image, or not one heat map for each.

    Example:

    >>> images = np.random.randint(0, 256, (3, 32, 32, 3)).astype("uint8")
    >>> figure = keras_isd.visualization.plot_heat_maps(images, np.random.rand(3, 8, 8))
    >>> len(figure.axes)
    6
    """
    if not len(images) or len(images) != len(heat_maps):
        raise ValueError(
            "Argument `heat_maps` must have one map for each of at least one image. "
            f"Received: {len(heat_maps)} maps, {len(images)} images"
        )
    if limits is None:
        limits = (min(map(np.min, heat_maps)), max(map(np.max, heat_maps)))
    low, high = limits
    scale = unit_scale(images)
    columns = max(1, min(columns, len(images)))
    figure, axes = new_grid(-(-len(images) // columns), 2 * columns, 1.3, 1.5, ticks=False)
    for axis in axes.flat:
        axis.set_frame_on(False)
    pairs = axes.reshape(-1, 2)
    for number, (image, heat) in enumerate(zip(images, heat_maps)):
        height, width = image.shape[:2]
        picture = select_rgb(scale(image))
        for axis in pairs[number]:
            axis.imshow(picture, extent=(0, width, height, 0))
        strength = np.clip((np.asarray(heat) - low) / max(high - low, 1e-12), 0, 1)
        pairs[number, 1].imshow(
            strength,
            cmap="inferno",
            vmin=0,
            vmax=1,
            alpha=MAX_OPACITY * strength,
            extent=(0, width, height, 0),
            interpolation="bilinear",
        )
        if captions is not None:
            pairs[number, 0].set_title(captions[number], fontsize=7)
    save(figure, path)
    return figure
