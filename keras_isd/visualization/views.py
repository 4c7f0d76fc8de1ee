"""The two views of images, as the networks see them."""

import keras
import numpy as np

from keras_isd.augmentation import IMAGENET
from keras_isd.visualization.figure import new_grid, save


def plot_views(dataset, images=8, statistics=IMAGENET, originals=None, path=None, rgb=None):
    """Draws query and key views in columns, one for each image.

    The first thing to look at before a long run: whether views are of one image, in range, and
    as strong as they are meant to be.

    Args:
        dataset: iterable of batches as `fit` takes them, such as
            `keras_isd.data.two_view_dataset(...)`. Its first batch is drawn, which the first epoch
            of training then sees all the same. A teacher's features are left out.
        images: int, how many columns.
        statistics: channel means and standard deviations with which the views were normalised.
        originals: `(N, H, W, 3)` in [0, 255], images of that batch, for a first row; or None.
        path: where to save the figure, or None.
        rgb: triple of ints, which channels to draw as red, green and blue. By default the first
            three; of one or two channels the first, as grey.

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
            axis.imshow(in_color(picture, rgb))
    save(figure, path)
    return figure


def to_unit_range(views, statistics):
    """Views as they were before they were normalised, in [0, 1]."""
    mean, std = (np.array(values, "float32") for values in statistics[:2])
    return np.clip(keras.ops.convert_to_numpy(views) * std + mean, 0.0, 1.0)


def in_color(image, rgb=None):
    """Of an image `(H, W, C)` three channels to draw, or a grey one of fewer."""
    if rgb is None:
        rgb = (0, 1, 2) if image.shape[-1] >= 3 else (0, 0, 0)
    return image[..., list(rgb)]
