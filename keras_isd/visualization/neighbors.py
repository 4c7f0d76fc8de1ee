"""What the teacher sees: images, and the anchors that it finds alike."""

import keras
import numpy as np
from keras import ops

from keras_isd.augmentation import IMAGENET
from keras_isd.validation.images import PIXEL_RANGE
from keras_isd.visualization.figure import new_grid, save
from keras_isd.visualization.views import in_color, to_unit_range


def plot_neighbors(model, batch, images, count=6, neighbors=8, statistics=IMAGENET, path=None):
    """Draws images, and for each the anchors to which the teacher gives the largest weights.

    A row shows an image's two views, and its nearest anchors with the probability that the teacher
    gives each: what ISD has the student learn. A contrastive loss with one positive would call each
    of them a negative and give it 0. The queue must keep the images' numbers:
    `ISDModel(..., queue_indices=True)`, trained on `two_view_dataset(..., with_index=True)`.

    The views are embedded as in inference, by moving statistics.

    Args:
        model: `ISDModel`, trained for long enough that its queue holds keys.
        batch: `{"query": (B, H, W, 3), "key": (B, H, W, 3)}`, views as `fit` takes them, or a pair
            of that and labels.
        images: `(N, H, W, C)` array, by the numbers that the queue keeps; or a source of images, or
            a function from a number to an image.
        count: int, rows, at most.
        neighbors: int, anchors in a row, at most K.
        statistics: channel means and standard deviations with which the views were normalised.
        path: where to save the figure, or None.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if the queue keeps no numbers of images, or knows none yet.

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
    find = images if callable(images) else images.__getitem__  # also a source's
    figure, axes = new_grid(len(indices), 2 + indices.shape[1], 1.1, 1.35, ticks=False)
    for row, line in enumerate(axes):
        for axis, name, views_of in zip(line, ("query", "key"), pictures):
            axis.imshow(in_color(views_of[row]))
            axis.set_title(name, fontsize=8)
        for axis, index, weight in zip(line[2:], indices[row], weights[row], strict=True):
            if index >= 0:
                image = (np.asarray(find(int(index)), "float32") - low) / np.subtract(high, low)
                axis.imshow(in_color(np.clip(image, 0, 1)))
            axis.set_title(f"{weight:.2f}", fontsize=8)
    figure.suptitle("The teacher's weights of its nearest anchors; contrastive learning gives 0")
    save(figure, path)
    return figure


def nearest_anchors(model, keys, count):
    """Images `(B, n)` of the anchors nearest to key views, and the teacher's weights of them.

    An unknown image is -1. Weights are shares of the whole queue's: a row adds up to at most 1.
    """
    queue = model.queue
    if queue.indices is None:
        raise ValueError(
            "Argument `model` must keep the images of its anchors: ISDModel(queue_indices=True). "
            "Received: a model that does not"
        )
    numbers = ops.convert_to_numpy(queue.indices)
    if (numbers < 0).all():
        raise ValueError(
            "The queue must know the images of its anchors: train on batches with an `index`, "
            "such as two_view_dataset(..., with_index=True). Received: a queue that knows none"
        )
    embeddings = ops.convert_to_numpy(model.embed_key(keys, training=False))
    anchors = ops.convert_to_numpy(ops.cast(queue.embeddings, "float32"))
    logits = embeddings @ anchors.T / model.teacher_temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    nearest = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    return numbers[nearest], np.take_along_axis(weights, nearest, axis=1)
