"""Views of images as the networks receive them."""

import keras
import numpy as np

from keras_isd.augmentation import IMAGENET
from keras_isd.visualization.figure import new_grid, save


def plot_views(dataset, images=8, statistics=IMAGENET, originals=None, path=None, rgb=None):
    """Draws the query and key views of images, one column per image.

    Check it before a long run: are both views of one image, in range, and as strong as intended?

    Args:
        dataset: iterable of batches as for `fit`, such as `keras_isd.data.two_view_dataset(...)`.
            Its first batch is drawn, and still part of the first epoch of training. Features of a
            teacher are not drawn.
        images: int, number of columns. Defaults to 8.
        statistics: channel means and standard deviations that the views were normalised with.
            Defaults to those of ImageNet.
        originals: `(N, H, W, 3)` in [0, 255], images of that batch, for a first row. Defaults to
            None.
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
    rows = {}
    for name in ("query", "key"):
        several = np.asarray(keras.ops.convert_to_numpy(views[name]))[:images]
        if several.ndim == 4:
            rows[name] = to_unit_range(several, statistics)
        elif several.ndim == 5:
            pairs = enumerate(np.swapaxes(several, 0, 1))
            rows |= {f"{name} {i}": to_unit_range(one, statistics) for i, one in pairs}
    if originals is not None:
        rows = {"original": np.asarray(originals[:images]) / 255.0, **rows}
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


def select_rgb(image, rgb=None):
    """Selects three channels of an image `(H, W, C)` to draw, or repeats the first one."""
    if rgb is None:
        rgb = (0, 1, 2) if image.shape[-1] >= 3 else (0, 0, 0)
    return image[..., list(rgb)]
