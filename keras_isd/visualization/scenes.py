"""Large images with their tiles, coloured by cluster."""

import numpy as np

from keras_isd.data.decoding.windows import reduce_image
from keras_isd.data.sources.tiles import tile_corners
from keras_isd.visualization.figure import class_colors, new_grid, save
from keras_isd.visualization.pixels import select_rgb, unit_scale

SIDE = 1000  # pixels of the longer side of a large image
OPACITY = 0.45
MAX_NAMED = 20  # clusters in the legend


def plot_scenes(source, clusters=None, outliers=(), scenes=4, path=None):
    """Draws large images with their tiles, coloured by cluster, and outliers with a frame.

    Args:
        source: `ImageSource` of tiles, see `keras_isd.data.tiles`.
        clusters: `(N,)` integers, the cluster of each tile, -1 for none; None to colour all alike.
            Defaults to None.
        outliers: ints, rows of tiles with a frame. Defaults to none.
        scenes: int, number of large images, those with the most tiles. Defaults to 4.
        path: where to save the figure, or None. Defaults to None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if the source has no tiles, or not one cluster for each.

    Example:

    >>> images = np.random.RandomState(0).randint(0, 256, (2, 64, 96, 3), "uint8")
    >>> tiles = keras_isd.data.tiles(keras_isd.data.from_arrays(images), 32, keep=0)
    >>> figure = keras_isd.visualization.plot_scenes(tiles, np.arange(12) % 3)
    >>> len(figure.axes)
    2
    """
    if source.large_images is None:
        raise ValueError(
            "Argument `source` must be of tiles, such as `keras_isd.data.tiles` makes. "
            f"Received: {len(source)} images"
        )
    clusters = np.zeros(len(source), int) if clusters is None else np.asarray(clusters)
    if clusters.shape != (len(source),):
        raise ValueError(
            "Argument `clusters` must have an integer for each tile. "
            f"Received: shape {clusters.shape}, {len(source)} tiles"
        )
    boxes, count = source.boxes, clusters.max() + 1
    numbers, counts = np.unique(boxes[:, 0], return_counts=True)
    numbers = np.sort(numbers[np.argsort(-counts, kind="stable")[:scenes]])
    columns = min(2, len(numbers))
    figure, axes = new_grid(-(-len(numbers) // columns), columns, 5, 5, ticks=False)
    for axis in axes.flat:
        axis.set_frame_on(False)
    for axis, number in zip(axes.flat, numbers):
        rows = np.flatnonzero(boxes[:, 0] == number)
        image = source.large_images.open(int(number))
        _draw_image(axis, image)
        _draw_tiles(axis, image, boxes[rows], clusters[rows], class_colors(max(count, 1)))
        _draw_frames(axis, image, boxes[np.intersect1d(rows, np.asarray(outliers, int))])
        axis.set_title(f"{source.large_images.name(int(number))}, {len(rows):,} tiles", fontsize=7)
    if 1 < count <= MAX_NAMED:
        _draw_legend(figure, count)
    save(figure, path)
    return figure


def _draw_image(axis, image):
    """Draws a reduced large image, in the coordinates of its full resolution."""
    height, width = image.sizes[0]
    scale = min(1.0, SIDE / max(height, width))
    small, _ = reduce_image(image, max(1, round(height * scale)), max(1, round(width * scale)))
    small = np.nan_to_num(select_rgb(small))
    if image.read(0, 0, 0, 1, 1).dtype == "uint8":
        small = np.rint(small).astype("uint8")
    axis.imshow(unit_scale([small])(small), extent=(0, width, height, 0))


def _draw_tiles(axis, image, boxes, clusters, colors):
    """Fills tiles with the colours of their clusters; those of no cluster stay clear."""
    from matplotlib.collections import PolyCollection

    inside = clusters >= 0
    axis.add_collection(
        PolyCollection(
            tile_corners(image, boxes[inside]),
            facecolors=[colors[cluster] for cluster in clusters[inside]],
            alpha=OPACITY,
            linewidths=0,
        )
    )


def _draw_frames(axis, image, boxes):
    from matplotlib.collections import PolyCollection

    if len(boxes):
        frames = tile_corners(image, boxes)
        axis.add_collection(
            PolyCollection(frames, facecolors="none", edgecolors="black", linewidths=1.2)
        )


def _draw_legend(figure, count):
    from matplotlib.patches import Patch

    names = [
        Patch(color=color, alpha=OPACITY, label=f"cluster {number}")
        for number, color in enumerate(class_colors(count))
    ]
    figure.legend(handles=names, loc="outside lower center", ncols=5, fontsize=7)
