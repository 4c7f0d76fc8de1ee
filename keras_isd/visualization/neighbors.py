"""Images and the anchors that are most similar to them for the teacher."""

import keras
import numpy as np
from keras import ops

from keras_isd.augmentation import IMAGENET
from keras_isd.validation.images import PIXEL_RANGE
from keras_isd.visualization.figure import new_grid, save
from keras_isd.visualization.pixels import select_rgb
from keras_isd.visualization.views import to_unit_range


def plot_neighbors(model, batch, images, count=6, neighbors=8, statistics=IMAGENET, path=None):
    """Draws images, and for each the anchors with the largest weights of the teacher.

    A row shows an image's two views, and its nearest anchors with the teacher's probabilities,
    which the student learns in ISD. A contrastive loss with one positive would treat all of them as
    negatives. The queue must keep the images' numbers: `ISDModel(..., queue_indices=True)`, trained
    on `two_view_dataset(..., with_index=True)`.

    The views are embedded as in inference, with moving statistics.

    Args:
        model: `ISDModel`, trained long enough that its queue holds keys.
        batch: `{"query": (B, H, W, 3), "key": (B, H, W, 3)}`, views as for `fit`, or a pair of that
            and labels.
        images: `(N, H, W, C)` array, indexed by the numbers in the queue; or an `ImageSource`, or a
            function from a number to an image.
        count: int, the maximum number of rows. Defaults to 6.
        neighbors: int, anchors in a row, at most K. Defaults to 8.
        statistics: channel means and standard deviations that the views were normalised with.
            Defaults to those of ImageNet.
        path: where to save the figure, or None. Defaults to None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if the queue keeps no image numbers, or all are unknown.

    Source: Figure 1 of the paper.

    Example:

    >>> images = np.random.randint(0, 256, (8, 8, 8, 3))
    >>> backbone = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4,))
    >>> model = keras_isd.ISDModel(backbone, queue_size=8, queue_indices=True)
    >>> model.compile(keras_isd.optimizers.SGD(0.05))
    >>> batch = {"query": images / 255, "key": images / 255, "index": np.arange(8)}
    >>> history = model.fit(batch, batch_size=8, verbose=0)
    >>> figure = keras_isd.visualization.plot_neighbors(model, batch, images, 2, neighbors=3)
    >>> len(figure.axes)
    10
    """
    views, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
    keys = ops.convert_to_tensor(views["key"][:count])
    indices, weights = nearest_anchors(model, keys, neighbors)
    pictures = [to_unit_range(views[name][:count], statistics) for name in ("query", "key")]
    low, high = statistics[2] if len(statistics) > 2 else PIXEL_RANGE
    get_image = images if callable(images) else images.__getitem__
    figure, axes = new_grid(len(indices), 2 + indices.shape[1], 1.1, 1.35, ticks=False)
    for row, line in enumerate(axes):
        for axis, name, views_of in zip(line, ("query", "key"), pictures):
            axis.imshow(select_rgb(views_of[row]))
            axis.set_title(name, fontsize=8)
        for axis, index, weight in zip(line[2:], indices[row], weights[row], strict=True):
            if index >= 0:
                image = (np.asarray(get_image(int(index)), "float32") - low) / np.subtract(
                    high, low
                )
                axis.imshow(select_rgb(np.clip(image, 0, 1)))
            axis.set_title(f"{weight:.2f}", fontsize=8)
    figure.suptitle("The teacher's weights of its nearest anchors; in contrastive learning: 0")
    save(figure, path)
    return figure


def nearest_anchors(model, keys, count):
    """Finds the images `(B, n)` of the anchors nearest to key views, and their teacher weights.

    An unknown image is -1. The weights over the whole queue add up to 1.
    """
    queue = model.queue
    if queue.indices is None:
        raise ValueError(
            "Argument `model` must keep the images of its anchors: ISDModel(queue_indices=True). "
            f"Received: {model.name} with queue_indices=False"
        )
    numbers = ops.convert_to_numpy(queue.indices)
    if (numbers < 0).all():
        raise ValueError(
            "Argument `model` must be trained on batches with an `index`, such as those of "
            "two_view_dataset(..., with_index=True). Received: a queue of unknown images"
        )
    embeddings = ops.convert_to_numpy(model.embed_key(keys, training=False))
    anchors = ops.convert_to_numpy(ops.cast(queue.embeddings, "float32"))
    logits = embeddings @ anchors.T / model.teacher_temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    nearest = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    return numbers[nearest], np.take_along_axis(weights, nearest, axis=1)
