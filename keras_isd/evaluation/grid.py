"""Features of the cells of a grid over each image, for things smaller than an image."""

import keras
import numpy as np

from keras_isd.backbones import feature_maps
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.validation.arguments import check_positive_integer


def grid_model(model, cells):
    """Makes a model from images to the mean feature of each cell of a grid.

    Cells are means over the coarsest map of the backbone that has as many places. Use it to find
    images by a part of them, or to map an image.

    Args:
        model: see `keras_isd.backbones.feature_maps`.
        cells: int, cells along each side of the grid.

    Returns:
        A `keras.Model` from images to features `(B, cells * cells * F)`, cell by cell, row by row.

    Raises:
        ValueError: if `cells` is not positive, or no map has as many places.

    Example:

    >>> model = keras_isd.evaluation.grid_model(keras_isd.backbones.ConvNet((32, 32, 3)), 2)
    >>> model(np.zeros((5, 32, 32, 3))).shape[1] % 4
    0
    """
    check_positive_integer("cells", cells)
    maps = feature_maps(model)
    fitting = [found for found in maps.outputs if min(found.shape[1:3]) >= cells]
    if not fitting:
        finest = max(min(found.shape[1:3]) for found in maps.outputs)
        raise ValueError(
            f"Argument `cells` must be at most {finest}, the places along the finest map. "
            f"Received: {cells=}"
        )
    pooled = keras.layers.AdaptiveAveragePooling2D(cells)(fitting[-1])
    return keras.Model(maps.inputs, keras.layers.Flatten()(pooled), name=f"grid_{cells}")


def grid_names(source, view, cells):
    """The names of the cells of all images, by their place in pixels, such as `a.png[0,32,32,32]`.

    They are names of tiles, which `keras_isd.data.from_paths` reads. Each image is read for its
    size. Cells of images that cannot be read have the name of the image.

    Args:
        source: `ImageSource`.
        view: `Augmenter` with a central crop, that of the grid.
        cells: int.

    Returns:
        List of `len(source) * cells * cells` str.

    Example:

    >>> source = keras_isd.data.from_arrays(np.zeros((1, 8, 10, 3), "uint8"))
    >>> keras_isd.evaluation.grid_names(source, keras_isd.augmentation.evaluation(8), 2)[:2]
    ['row 0[1,0,4,4]', 'row 0[5,0,4,4]']
    """
    names = []
    for row in range(len(source)):
        name = source.row_name(row)
        try:
            height, width = source.read_exactly(row).shape[:2]
        except UnreadableImageError:
            names += [name] * cells**2
            continue
        top, left, side = view.crop.place(height, width)
        edges = np.round(np.linspace(0, side, cells + 1)).astype(int).tolist()
        spans = list(zip(edges, np.maximum(np.diff(edges), 1).tolist()))
        names += [
            f"{name}[{left + x},{top + y},{across},{down}]"
            for y, down in spans
            for x, across in spans
        ]
    return names
