"""The views of images that are all of one size, and of images that differ."""

import tensorflow as tf

from keras_isd.augmentation import Augmenter
from keras_isd.augmentation.array_functions import functions_for
from keras_isd.data.random_numbers import uniform


class Views:
    """Makes the views of images, as functions for tf.data.

    Args:
        augmenters: dict of names to `Augmenter`s or other functions of a batch of images. Their
            places number the views.
        seed: int, what the random numbers depend on, besides epoch, row and view.
    """

    def __init__(self, augmenters, seed):
        self.augmenters = augmenters
        self.seed = seed
        self.stateless = all(isinstance(a, Augmenter) for a in augmenters.values())
        # XLA fuses the dozens of small steps of an operation into few loops, several times quicker.
        # Of all operations at once it would fuse too much, and compute one anew for each neighbour
        # that another sums over.
        self._compiled_operation = tf.function(self._operation, autograph=False, jit_compile=True)
        self._compiled_boxes = tf.function(self._boxes, autograph=False, jit_compile=True)

    def of_batch(self, epoch, rows, images, *labels):
        """Views of images of one size, `(B, H, W, 3)`, as `fit` takes them."""
        if self.stateless:
            images = dict.fromkeys(self.augmenters, images)
            return _with_labels(self._views(epoch, rows, images, 0), labels)
        views = {name: augmenter(images) for name, augmenter in self.augmenters.items()}
        return _with_labels(views, labels)

    def of_one(self, epoch, row, image, *labels):
        """Views of an image `(H, W, 3)` of any size, not yet in a batch.

        Their first operation, the crop, is made by TensorFlow's resize, which equals it, and whose
        time is in proportion to the crop and not to two whole matrices. One image at a time fits
        into a core's cache, as a batch of photographs does not.
        """
        if not self.stateless:
            raise ValueError(
                "Images that differ in size need an `Augmenter` for `query` and for `key`, which "
                f"brings them to one size. Received: {self.augmenters}"
            )
        height, width = tf.unstack(tf.shape(image)[:2])
        boxes = self._compiled_boxes(epoch, row[None], height, width)
        crops = {name: self._crop(image, boxes[name], name) for name in self.augmenters}
        views = self._views(epoch, row[None], crops, 1)
        return _with_labels({name: view[0] for name, view in views.items()}, labels)

    def _crop(self, image, box, name):
        top, left, height, width = tf.unstack(box)
        size = self.augmenters[name].operations[0].size
        part = image[top : top + height, left : left + width]
        crop = tf.image.resize(part, (size, size), antialias=True)
        return tf.ensure_shape(crop, (size, size, 3))[None]

    def _views(self, epoch, rows, images, first_operation):
        views = {}
        for view, (name, augmenter) in enumerate(self.augmenters.items()):
            x = tf.cast(images[name], tf.float32)
            for index in range(first_operation, len(augmenter.operations)):
                x = self._compiled_operation(epoch, rows, x, view, index)
            views[name] = x
        return views

    def _operation(self, epoch, rows, images, view, index):
        augmenter = list(self.augmenters.values())[view]
        numbers = uniform(self.seed, epoch, rows, view, augmenter.draws)
        return augmenter.apply(images, numbers, slice(index, index + 1))

    def _boxes(self, epoch, rows, height, width):
        boxes = {}
        for view, (name, augmenter) in enumerate(self.augmenters.items()):
            crop = augmenter.operations[0]
            numbers = uniform(self.seed, epoch, rows, view, augmenter.draws)[:, : crop.draws]
            factors = crop.factors(functions_for(numbers), numbers, height, width)
            sides = [factors[side] for side in ("top", "left", "height", "width")]
            boxes[name] = tf.cast(tf.concat(sides, axis=0), tf.int32)
        return boxes


def _with_labels(views, labels):
    return (views, *labels) if labels else views
