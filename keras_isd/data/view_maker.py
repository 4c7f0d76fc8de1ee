"""The views of images that are all of one size, and of images that differ."""

from absl import logging

from keras_isd.augmentation import Augmenter
from keras_isd.augmentation.array_namespace import array_namespace
from keras_isd.data.threefry import uniform
from keras_isd.quiet_tensorflow import tf


class ViewMaker:
    """Makes the views of images, as functions for tf.data.

    Args:
        augmenters: dict of names to `Augmenter`s or other functions of a batch of images. Their
            places number the views.
        seed: int, what the random numbers depend on, besides epoch, row and view.
        with_index: bool, whether row numbers go along, as `"index"`.
        teacher_features: `TeacherFeatures` that go along, as `"key"`, or None.
        query_views: int, how many views there are under `"query"`; several along an axis before
            the rows of pixels.
    """

    def __init__(self, augmenters, seed, with_index=False, teacher_features=None, query_views=1):
        # Behind the others, so that those stay as they are with one.
        more = {f"query {i}": augmenters["query"] for i in range(1, query_views)}
        self.augmenters = {**augmenters, **more}
        self.more_queries = list(more)
        self.seed = seed
        self.with_index = with_index
        self.teacher_features = teacher_features
        self.stateless = all(isinstance(a, Augmenter) for a in augmenters.values())
        # XLA fuses the dozens of small steps of an operation into few loops, several times quicker.
        self._compiled_operations = tf.function(self._operations, autograph=False, jit_compile=True)
        self._compiled_boxes = tf.function(self._boxes, autograph=False, jit_compile=True)

    def of_batch(self, epoch, rows, images, *labels):
        """Views of images of one size, `(B, H, W, C)`, as `fit` takes them."""
        if self.stateless:
            images = tf.ensure_shape(images, (None, None, None, self._channels(images)))
        views = {}
        for view, (name, augmenter) in enumerate(self.augmenters.items()):
            if not self.stateless:
                views[name] = augmenter(images)
                _warn_of_repeated_draws(name)
                continue
            # One by one: across operations XLA would fuse too much, and compute one anew for each
            # neighbour that another sums over.
            x = tf.cast(images, tf.float32)
            for index in range(len(augmenter.operations)):
                x = self._compiled_operations(epoch, rows, x, view, index, index + 1)
            views[name] = x
        return self._with(rows, views, labels)

    def of_one(self, epoch, row, image, *labels):
        """Views of an image `(H, W, C)` of any size, not yet in a batch.

        Their first operation, the crop, is made by TensorFlow's resize, which equals it, and whose
        time is in proportion to the crop and not to two whole matrices. One image at a time fits
        into a core's cache, as a batch of photographs does not, and what is not drawn for it, such
        as a blur, costs nothing.
        """
        if not self.stateless or not all(
            hasattr(augmenter.operations[0], "size") for augmenter in self.augmenters.values()
        ):
            raise ValueError(
                "Images that differ in size need an `Augmenter` for each view, whose first "
                "operation is a crop, which brings them to one size. "
                f"Received: {self.augmenters}"
            )
        image = tf.ensure_shape(image, (None, None, self._channels(image)))
        height, width = tf.unstack(tf.shape(image)[:2])
        boxes = self._compiled_boxes(epoch, row[None], height, width)
        views = {}
        for view, name in enumerate(self.augmenters):
            crop = self._crop(image, boxes[name], name)
            views[name] = self._compiled_operations(epoch, row[None], crop, view, 1, None)[0]
        return self._with(row, views, labels)

    def _with(self, rows, views, labels):
        if self.more_queries:
            queries = [views["query"], *(views.pop(name) for name in self.more_queries)]
            views["query"] = tf.stack(queries, axis=-4)
        if self.with_index:
            views["index"] = tf.cast(rows, tf.int32)
        if self.teacher_features is not None:
            views["key"] = self._features_of(rows)
        return (views, *labels) if labels else views

    def _features_of(self, rows):
        read = tf.numpy_function(self.teacher_features.rows, [rows], tf.float32)
        return tf.ensure_shape(read, (*rows.shape, self.teacher_features.dim))

    def _crop(self, image, box, name):
        top, left, height, width = tf.unstack(box)
        size = self.augmenters[name].operations[0].size
        part = image[top : top + height, left : left + width]
        for _ in range(2):  # the rows, then what were columns
            part = tf.transpose(_resize_rows(part, size), (1, 0, 2))
        return tf.ensure_shape(part, (size, size, image.shape[-1]))[None]

    def _channels(self, images):
        """The channels of images; a data set's own need not say, and then the views do."""
        known = images.shape[-1] if images.shape.rank else None
        said = (getattr(augmenter, "channels", None) for augmenter in self.augmenters.values())
        return known or next((channels for channels in said if channels), None)

    def _operations(self, epoch, rows, images, view, start, stop):
        augmenter = list(self.augmenters.values())[view]
        numbers = uniform(self.seed, epoch, rows, view, augmenter.draws)
        return augmenter.apply(images, numbers, slice(start, stop))

    def _boxes(self, epoch, rows, height, width):
        boxes = {}
        for view, (name, augmenter) in enumerate(self.augmenters.items()):
            crop = augmenter.operations[0]
            numbers = uniform(self.seed, epoch, rows, view, augmenter.draws)[:, : crop.draws]
            factors = crop.factors(array_namespace(numbers), numbers, height, width)
            sides = [factors[side] for side in ("top", "left", "height", "width")]
            boxes[name] = tf.cast(tf.concat(sides, axis=0), tf.int32)
        return boxes


def _warn_of_repeated_draws(name):
    """Warns of random operations, in the graph that is being made, that draw the same each epoch.

    TensorFlow starts them anew with each pass over a data set, from the seed that they were given
    or that `keras.utils.set_random_seed` gives all of them.
    """
    drawn = sorted(
        operation.type
        for operation in tf.compat.v1.get_default_graph().get_operations()
        if operation.op_def.is_stateful
        and {"seed", "seed2"} <= set(operation.node_def.attr)
        and (operation.get_attr("seed") or operation.get_attr("seed2"))
    )
    if drawn:
        logging.warning(
            "The function that makes the %s draws the same numbers in every epoch: TensorFlow's "
            "%s has a fixed seed, its own or that of `keras.utils.set_random_seed`. Take "
            "`keras_isd.augmentation`, whose draws follow the epoch, or a `tf.random.Generator`.",
            name,
            ", ".join(dict.fromkeys(drawn)),
        )


def _resize_rows(image, size):
    """As `tf.image.resize` of the rows alone, with antialiasing, but quicker.

    Whole rows are taken for channels, along which TensorFlow's loops are vectorised.
    """
    rows, columns = tf.unstack(tf.shape(image)[:2])
    channels = image.shape[-1]
    flat = tf.reshape(image, (rows, 1, columns * channels))
    return tf.reshape(tf.image.resize(flat, (size, 1), antialias=True), (size, columns, channels))
