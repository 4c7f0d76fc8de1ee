"""Batches of views with labels, made by the backend, without TensorFlow."""

import keras
import numpy as np
from keras import ops

from keras_isd.data.decoding.resizing import crop_and_resize
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.validation.arguments import check_positive_integer, check_seed
from keras_isd.validation.images import PIXEL_RANGE, SAMPLED_IMAGES, warn_of_pixels


class ViewBatches:
    """Makes batches of one view of each image with its label, in order or shuffled.

    It works like `one_view_dataset`, but without TensorFlow: the backend makes the views. If a
    source's file cannot be read, its view is NaN, which `keras_isd.evaluation` omits; in a shuffled
    order another image replaces it, with its own label.

    Args:
        images: `(N, H, W, C)` array of any type, or a `keras_isd.data.ImageSource`, whose images
            may differ in size.
        labels: `(N,)` integers; None for the source's own labels, or for no labels.
        view: function from a batch of images to views, such as
            `keras_isd.augmentation.evaluation(32)`.
        batch_size: int.
        seed: int, to shuffle the images anew in each pass; None keeps their order. Defaults to
            None.

    Raises:
        ValueError: if labels differ in number from the images, `batch_size` is not positive, or
            images differ in size and `view` is no `Augmenter` that begins with a crop.

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
                "Arguments `images` and `labels` must have the same length. "
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
                views, part = self._make_row_views(part)
            else:
                images = self.images
                is_in_order = self.order is None
                part_images = images[start : start + len(part)] if is_in_order else images[part]
                views = self.view(part_images)
            yield (views,) if self.labels is None else (views, self.labels[part])

    def _make_row_views(self, rows):
        """Makes the views of a source's rows; returns them with the rows whose labels apply.

        In order, the view of an unreadable file is NaN. Shuffled, another row replaces it.
        """
        pairs = [self.images.read_one(row) for row in rows]
        views = self._make_views([image for image, _ in pairs])
        read_rows = np.array([row for _, row in pairs])
        if self.order is not None:
            return views, read_rows
        return ops.where((read_rows != rows)[:, None, None, None], np.nan, views), rows

    def _make_views(self, images):
        """Makes views of images that may differ in size: crops each one, then augments them all."""
        if not getattr(self.view, "crops_first", False):
            if len({image.shape for image in images}) > 1:
                raise ValueError(
                    "Argument `view` must be an `Augmenter` that begins with a crop if images "
                    f"differ in size. Received: {self.view!r}, images of shapes "
                    f"{sorted({image.shape for image in images})[:2]}"
                )
            return self.view(np.stack(images))
        numbers = keras.random.uniform((len(images), self.view.draws))
        crops = [
            _crop(self.view, image, numbers[place : place + 1])
            for place, image in enumerate(images)
        ]
        crops = ops.convert_to_tensor(np.stack(crops))
        return self.view.apply(crops, numbers, slice(self.view.crop_index + 1, None))


def readable_views(source, view, batch_size=100):
    """Makes one view of each readable image of a source: pair of views `(n, H, W, C)` and rows."""
    batches = ViewBatches(source, None, view, batch_size)
    views = np.concatenate([ops.convert_to_numpy(batch[0]) for batch in batches])
    # The view of an unreadable image is NaN throughout.
    rows = np.flatnonzero(~np.isnan(views[:, 0, 0, 0]))
    return (views if len(rows) == len(views) else views[rows]), rows


def _crop(view, image, numbers):
    """Crops a single image, after the operations that need the whole image."""
    image = view.before_crop(image)
    factors = view.factors(ops, view.crop_index, numbers, *image.shape[:2])
    part = {name: int(ops.convert_to_numpy(factor)[0]) for name, factor in factors.items()}
    return crop_and_resize(image, **part, size=view.crop.size)
