"""The views of images that are all of one size, and of images that differ."""

import functools

import numpy as np
from absl import logging

from keras_isd.augmentation import Augmenter
from keras_isd.augmentation.array_namespace import array_namespace
from keras_isd.augmentation.layer_chain import LayerChain
from keras_isd.compat.quiet_tensorflow import tf
from keras_isd.data.tf_data.threefry import uniform

SIZES = (
    "Images that differ in size need an `Augmenter` for each view, whose first operation is a "
    "crop, which brings them to one size, or layers that do. Received: {}"
)


# What TensorFlow's resize makes floats of by itself.
SCALED = (tf.uint8, tf.int8, tf.uint16, tf.int16, tf.int32, tf.float32)


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
        self.cropped = {n: a for n, a in self.augmenters.items() if isinstance(a, Augmenter)}
        self.stateless = len(self.cropped) == len(self.augmenters)
        # XLA fuses the dozens of small steps of an operation into few loops, several times quicker.
        compiled = functools.partial(tf.function, autograph=False, jit_compile=True)
        # TensorFlow prepares every node anew for each pass, so each function is there once.
        self._numbers = compiled(self._numbers_of)
        self._operations = compiled(self._apply_operations)
        self._reduction = compiled(self._reduction_of)
        self._places = compiled(self._places_of)

    def of_batch(self, epoch, rows, images, *labels):
        """Views of images of one size, `(B, H, W, C)`, as `fit` takes them."""
        if self.cropped:
            images = tf.ensure_shape(images, (None, None, None, self._channels(images)))
        numbers = self._numbers(epoch, rows)
        views = {}
        for name, augmenter in self.augmenters.items():
            if name not in self.cropped:
                views[name] = augmenter(images)
                if not isinstance(augmenter, LayerChain):
                    _warn_of_repeated_draws(name)
                continue
            # One by one: across operations XLA would fuse too much, and compute one anew for each
            # neighbour that another sums over.
            x = tf.cast(images, tf.float32)
            for index in range(len(augmenter.operations)):
                x = self._operations(numbers[name], x, name, index, index + 1)
            views[name] = x
        return self._with(rows, views, labels)

    def of_file(self, epoch, source, mark_unreadable, row):
        """Views of a file of a source, not yet in a batch.

        A JPEG is decoded at the smallest scale at which no crop has to be enlarged for it. Where a
        file cannot be read they are those of the image that stands in, or marked: all NaN.
        """
        self._check_crops()

        def reduction(of, size):
            """How much smaller an image may be for no crop of it to be enlarged for that."""
            numbers = self._numbers(epoch, (row if mark_unreadable else of)[None])
            return self._reduction(numbers, size)

        read, image, size = source.read_file(row, reduction if self.stateless else None)
        drawn_for = row if mark_unreadable else read
        label = [] if source.labels is None else [source.labels_of(drawn_for)]
        made = self._views(epoch, drawn_for, image, label, size)
        if not mark_unreadable:
            return made
        made, *label = made if label else (made,)
        made = {name: tf.where(read == row, view, np.nan) for name, view in made.items()}
        return (made, *label) if label else made

    def of_one(self, epoch, row, image, *labels):
        """Views of an image `(H, W, C)` of any size, not yet in a batch."""
        self._check_crops()
        return self._views(epoch, row, image, labels, tf.shape(image)[:2])

    def _views(self, epoch, row, image, labels, size):
        """Views of one image, whose crops are boxes in pixels of its whole `size`.

        Their first operation, the crop, is made by TensorFlow's resize, which equals it, and whose
        time is in proportion to the crop and not to two whole matrices. One image at a time fits
        into a core's cache, as a batch of photographs does not, and what is not drawn for it, such
        as a blur, costs nothing.
        """
        image = tf.ensure_shape(image, (None, None, self._channels(image)))
        numbers = self._numbers(epoch, row[None])
        places = self._places(numbers, size, tf.shape(image))
        views = {}
        for name, augmenter in self.augmenters.items():
            if name in self.cropped:
                crop = _crop(image, augmenter.operations[0].size, *places[name])
                made = self._operations(numbers[name], crop[None], name, 1, None)
            else:  # layers, or a function: of an image alone, so that each has draws of its own
                made = augmenter(tf.cast(image, tf.float32)[None])
            views[name] = made[0]
            if not made.shape[1:].is_fully_defined():
                raise ValueError(SIZES.format(self.augmenters))
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

    def _check_crops(self):
        """Raises a ValueError unless each `Augmenter` begins with a crop."""
        for augmenter in self.cropped.values():
            if not hasattr(augmenter.operations[0], "size"):
                raise ValueError(SIZES.format(self.augmenters))

    def _channels(self, images):
        """The channels of images; a data set's own need not say, and then the views do."""
        known = images.shape[-1] if images.shape.rank else None
        said = (getattr(augmenter, "channels", None) for augmenter in self.augmenters.values())
        return known or next((channels for channels in said if channels), None)

    def _numbers_of(self, epoch, rows):
        """What determines each view."""
        return {
            name: uniform(self.seed, epoch, rows, view, self.augmenters[name].draws)
            for view, name in enumerate(self.augmenters)
            if name in self.cropped
        }

    def _apply_operations(self, numbers, images, name, start, stop):
        return self.augmenters[name].apply(images, numbers, slice(start, stop))

    def _boxes(self, numbers, size):
        """Top, left, height and width of each crop of one image, in pixels of its `size`."""
        boxes = {}
        for name, augmenter in self.cropped.items():
            crop = augmenter.operations[0]
            own = numbers[name][:, : crop.draws]
            factors = crop.factors(array_namespace(own), own, *tf.unstack(size))
            boxes[name] = [factors[side][0] for side in ("top", "left", "height", "width")]
        return boxes

    def _reduction_of(self, numbers, size):
        sides = [
            tf.reduce_min(tf.cast(box[2:], tf.int32)) // self.cropped[name].operations[0].size
            for name, box in self._boxes(numbers, size).items()
        ]
        return tf.reduce_min(sides)

    def _places_of(self, numbers, size, shape):
        """Where each crop is in an image of a `shape`, perhaps smaller than its whole `size`."""
        reduced = tf.cast(shape[:2], tf.float32) / tf.cast(size, tf.float32)
        places = {}
        for name, box in self._boxes(numbers, size).items():
            start, length = tf.stack(box[:2]) * reduced, tf.stack(box[2:]) * reduced
            first = tf.floor(start)
            last = tf.minimum(tf.math.ceil(start + length), tf.cast(shape[:2], tf.float32))
            begin, end = (tf.cast(x, tf.int32) for x in (first, last))
            extent = tf.concat([end - begin, shape[2:]], axis=0)
            side = self.cropped[name].operations[0].size
            # Whole rows are taken for channels, along which TensorFlow's loops are vectorised.
            rows = [1, extent[0], 1, extent[1] * extent[2]], [1, extent[1], 1, side * extent[2]]
            scale = side / length
            shift = (first - start) * scale
            one_axis = [
                (tf.stack(rows[axis]), tf.stack([scale[axis], 1.0]), tf.stack([shift[axis], 0.0]))
                for axis in range(2)
            ]
            places[name] = (tf.pad(begin, [[0, 1]]), extent, one_axis)
        return places


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


def _crop(image, size, begin, extent, resizes):
    """A part of an image at another size, `(size, size, C)`, as `tf.image.resize` antialiased."""
    channels = image.shape[-1]
    part = tf.slice(image, begin, extent)
    if part.dtype not in SCALED:
        part = tf.cast(part, tf.float32)
    for shape, scale, shift in resizes:  # of the rows, then of what were columns
        resized = tf.raw_ops.ScaleAndTranslate(  # makes floats of integers on the way
            images=tf.reshape(part, shape),
            size=(size, 1),
            scale=scale,
            translation=shift,
            kernel_type="triangle",
            antialias=True,
        )
        part = tf.transpose(tf.reshape(resized, (size, -1, channels)), (1, 0, 2))
    return tf.ensure_shape(part, (size, size, channels))
