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
        # XLA fuses the dozens of small operations into few loops, several times quicker.
        self._compiled_views = tf.function(self._views, autograph=False, jit_compile=True)
        self._compiled_boxes = tf.function(self._boxes, autograph=False, jit_compile=True)

    def of_batch(self, epoch, rows, images):
        """Views of images of one size, `(B, H, W, 3)`."""
        if not self.stateless:
            return {name: augmenter(images) for name, augmenter in self.augmenters.items()}
        return self._compiled_views(epoch, rows, dict.fromkeys(self.augmenters, images), 0)

    def of_crops(self, epoch, rows, crops):
        """Views of batches of what `crops_of_one` gives."""
        return self._compiled_views(epoch, rows, crops, 1)

    def crops_of_one(self, epoch, row, image):
        """The crops that the views of an image `(H, W, 3)` begin with, for images of any size.

        They equal the first operation of the augmenters, but are made by TensorFlow's resize,
        whose time is in proportion to the crop and not to two whole matrices.
        """
        if not self.stateless:
            raise ValueError(
                "Images that differ in size need an `Augmenter` for `query` and for `key`, which "
                f"brings them to one size. Received: {self.augmenters}"
            )
        height, width = tf.unstack(tf.shape(image)[:2])
        boxes = self._compiled_boxes(epoch, row[None], height, width)
        return {name: self._crop(image, boxes[name], name) for name in self.augmenters}

    def _crop(self, image, box, name):
        top, left, height, width = tf.unstack(box)
        size = self.augmenters[name].operations[0].size
        part = image[top : top + height, left : left + width]
        crop = tf.image.resize(part, (size, size), antialias=True)
        return tf.ensure_shape(crop, (size, size, 3))

    def _views(self, epoch, rows, images, first_operation):
        return {
            name: augmenter.apply(
                tf.cast(images[name], tf.float32),
                uniform(self.seed, epoch, rows, view, augmenter.draws),
                slice(first_operation, None),
            )
            for view, (name, augmenter) in enumerate(self.augmenters.items())
        }

    def _boxes(self, epoch, rows, height, width):
        boxes = {}
        for view, (name, augmenter) in enumerate(self.augmenters.items()):
            crop = augmenter.operations[0]
            numbers = uniform(self.seed, epoch, rows, view, augmenter.draws)[:, : crop.draws]
            factors = crop.factors(functions_for(numbers), numbers, height, width)
            sides = [factors[side] for side in ("top", "left", "height", "width")]
            boxes[name] = tf.cast(tf.concat(sides, axis=0), tf.int32)
        return boxes
