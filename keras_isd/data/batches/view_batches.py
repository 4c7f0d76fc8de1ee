"""Batches of views with labels, without TensorFlow."""

import keras
import numpy as np
from keras import ops

from keras_isd.data.decoding.resizing import crop_and_resize
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.validation.arguments import check_positive_integer, check_seed
from keras_isd.validation.images import PIXEL_RANGE, SAMPLED_IMAGES, warn_of_pixels


class ViewBatches:
    """Batches of a view of images, with labels: in their order to evaluate, or shuffled to train.

    As `one_view_dataset`, but without TensorFlow: the backend makes the views. Of a source the view
    of a file that cannot be read is NaN, which `keras_isd.evaluation` leaves out; where the order
    is shuffled another image stands in, with its own label.

    Args:
        images: `(N, H, W, C)`, of any type; or a `keras_isd.data.ImageSource`, whose images may
            differ in size.
        labels: `(N,)` integers, or None; of a source None is for its own.
        view: function from a batch of images to views, such as
            `keras_isd.augmentation.evaluation(32)`.
        batch_size: int.
        seed: int, of an order that is another one in each pass; None keeps that of the images.

    Raises:
        ValueError: if labels are not as many, `batch_size` is not positive, or images of a source
            differ in size where `view` is no `Augmenter` that begins with a crop.

    Example:

    >>> view = keras_isd.augmentation.evaluation(8)
    >>> batches = keras_isd.data.ViewBatches(np.zeros((5, 9, 9, 3)), np.arange(5), view, 3)
    >>> [(tuple(views.shape), labels.tolist()) for views, labels in batches]
    [((3, 8, 8, 3), [0, 1, 2]), ((2, 8, 8, 3), [3, 4])]
    """

    def __init__(self, images, labels, view, batch_size, seed=None):
        check_positive_integer("batch_size", batch_size)
        check_seed("seed", seed)
        self.images = images
        labels = getattr(images, "labels", None) if labels is None else labels
        self.labels = None if labels is None else ops.convert_to_numpy(labels)
        self.view = view
        self.batch_size = batch_size
        self.order = None if seed is None else np.random.default_rng(seed)
        if self.labels is not None and len(self.labels) != len(images):
            raise ValueError(
                "Arguments `images` and `labels` must be as many. "
                f"Received: {len(images)} images, {len(self.labels)} labels"
            )
        first = images[0][None] if isinstance(images, ImageSource) else images[:SAMPLED_IMAGES]
        warn_of_pixels(ops.convert_to_numpy(first), getattr(view, "value_range", PIXEL_RANGE))

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def __iter__(self):
        count = len(self.images)
        rows = np.arange(count) if self.order is None else self.order.permutation(count)
        for start in range(0, count, self.batch_size):
            part = rows[start : start + self.batch_size]
            if isinstance(self.images, ImageSource):
                views, part = self._views_of_rows(part)
            else:
                images = self.images
                in_order = self.order is None
                views = self.view(images[start : start + len(part)] if in_order else images[part])
            yield (views,) if self.labels is None else (views, self.labels[part])

    def _views_of_rows(self, rows):
        """Views of images, and the rows that they are of, or are marked as not readable for."""
        read = [self.images.read_one(row) for row in rows]
        views = self._views_of([image for image, _ in read])
        of = np.array([row for _, row in read])
        if self.order is not None:
            return views, of
        return ops.where((of != rows)[:, None, None, None], np.nan, views), rows

    def _views_of(self, images):
        """Views of images that may differ in size: cropped one by one, then changed together."""
        operations = getattr(self.view, "operations", [None])
        if not hasattr(operations[0], "size"):
            if len({image.shape for image in images}) > 1:
                raise ValueError(
                    "Argument `view` must be an `Augmenter` that begins with a crop, where images "
                    f"differ in size. Received: {self.view!r}, images of shapes "
                    f"{sorted({image.shape for image in images})[:2]}"
                )
            return self.view(np.stack(images))
        numbers = keras.random.uniform((len(images), self.view.draws))
        crops = [
            _cropped(operations[0], image, numbers[place : place + 1])
            for place, image in enumerate(images)
        ]
        return self.view.apply(ops.convert_to_tensor(np.stack(crops)), numbers, slice(1, None))


def readable_views(source, view, batch_size=100):
    """One view of each image of a source that can be read: pair of `(n, H, W, C)` and rows."""
    batches = ViewBatches(source, None, view, batch_size)
    views = np.concatenate([ops.convert_to_numpy(batch[0]) for batch in batches])
    # Of an image that cannot be read the view is NaN alone.
    rows = np.flatnonzero(~np.isnan(views[:, 0, 0, 0]))
    return (views if len(rows) == len(views) else views[rows]), rows


def _cropped(crop, image, numbers):
    factors = crop.factors(ops, numbers[:, : crop.draws], *image.shape[:2])
    part = {name: int(ops.convert_to_numpy(factor)[0]) for name, factor in factors.items()}
    return crop_and_resize(image, **part, size=crop.size)
