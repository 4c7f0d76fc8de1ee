"""Views of images as the networks receive them."""

import functools

import keras
import numpy as np

from keras_isd.augmentation import IMAGENET
from keras_isd.visualization.figure import new_grid, save
from keras_isd.visualization.pixels import select_rgb, unit_scale


def plot_views(dataset, images=8, statistics=IMAGENET, originals=None, path=None, rgb=None):
    """Draws the query and key views of images, one column per image.

    Check it before a long run: are both views of one image, in range, and as strong as intended?

    Args:
        dataset: iterable of batches as for `fit`, such as `keras_isd.data.two_view_dataset(...)`.
            Its first batch is drawn, and still part of the first epoch of training. Features of a
            teacher are not drawn.
        images: int, number of columns. Defaults to 8.
        statistics: channel means and standard deviations that the views were normalised with, or
            None for percentiles of all views as black and white, for views of images that were
            normalised each by itself. Defaults to those of ImageNet.
        originals: `(N, H, W, C)`, images of that batch, for a first row; or a list of images of
            different sizes. Defaults to None.
        path: where to save the figure, or None. Defaults to None.
        rgb: triple of ints, the channels to draw as red, green and blue. Defaults to None: the
            first three, or the first one as grey.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib is not installed.

    Example:

    >>> views = {"query": np.zeros((4, 8, 8, 3)), "key": np.zeros((4, 8, 8, 3))}
    >>> figure = keras_isd.visualization.plot_views([views], images=3)
    >>> len(figure.axes)
    6
    """
    views, _, _ = keras.utils.unpack_x_y_sample_weight(next(iter(dataset)))
    rows: dict = {}
    for name in ("query", "key"):
        several = np.asarray(keras.ops.convert_to_numpy(views[name]))[:images]
        if several.ndim == 4:
            rows[name] = several
        elif several.ndim == 5:
            rows |= {f"{name} {i}": one for i, one in enumerate(np.swapaxes(several, 0, 1))}
    if statistics is None:
        scale = unit_scale([view for several in rows.values() for view in several])
    else:
        scale = functools.partial(to_unit_range, statistics=statistics)
    rows = {name: [scale(view) for view in several] for name, several in rows.items()}
    if originals is not None:
        scale = unit_scale(originals[:images])
        rows = {"original": [scale(image) for image in originals[:images]], **rows}
    columns = len(next(iter(rows.values())))
    figure, axes = new_grid(len(rows), columns, 1.2, 1.25, ticks=False)
    for (name, pictures), line in zip(rows.items(), axes, strict=True):
        line[0].set_ylabel(name)
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(select_rgb(picture, rgb))
    save(figure, path)
    return figure


def to_unit_range(views, statistics):
    """Undoes the normalisation of views: values in [0, 1]."""
    mean, std = (np.array(values, "float32") for values in statistics[:2])
    return np.clip(keras.ops.convert_to_numpy(views) * std + mean, 0.0, 1.0)
