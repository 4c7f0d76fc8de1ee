"""Makes views in a tf.data graph: of batches, of single images, and of files."""

import functools

import numpy as np
from absl import logging

from keras_isd.augmentation import Augmenter
from keras_isd.augmentation.array_namespace import array_namespace
from keras_isd.augmentation.layer_chain import LayerChain
from keras_isd.compat.quiet_tensorflow import tf
from keras_isd.data.tf_data.threefry import uniform

SIZES_MESSAGE = (
    "Each view of images that differ in size must be an `Augmenter` that begins with a crop, or "
    "layers that bring images to one size. Received: {}"
)


SHIFT = 2**15  # in the place of a view's number, for the draws of a tile's shift
# The types that TensorFlow's resize converts to float itself.
RESIZABLE_DTYPES = (tf.uint8, tf.int8, tf.uint16, tf.int16, tf.int32, tf.float32)


class ViewMaker:
    """Makes views of images with functions for `tf.data.Dataset.map`.

    Args:
        augmenters: dict from names to `Augmenter`s or other functions of a batch of images. A
            view's number is its place in the dict.
        seed: int. Random numbers depend only on (seed, epoch, row, view).
        with_index: bool, whether to add row numbers as `"index"`. Defaults to False.
        teacher_features: `TeacherFeatures` to add as `"key"`, or None. Defaults to None.
        counts: dict from names to the number of views; several views of a name have their own axis
            before the height. Defaults to None: one view each.
    """

    def __init__(self, augmenters, seed, with_index=False, teacher_features=None, counts=None):
        # Further views come last, so that the numbers of the other views stay the same.
        self.more = {
            name: [f"{name} {i}" for i in range(1, count)]
            for name, count in (counts or {}).items()
            if count > 1
        }
        more = {view: augmenters[name] for name, views in self.more.items() for view in views}
        self.augmenters = {**augmenters, **more}
        self.seed = seed
        self.with_index = with_index
        self.teacher_features = teacher_features
        self.cropped = {n: a for n, a in self.augmenters.items() if isinstance(a, Augmenter)}
        self.is_stateless = len(self.cropped) == len(self.augmenters)
        self.reads_reduced = self.is_stateless and not any(
            augmenter.crop_index for augmenter in self.cropped.values()
        )
        # XLA fuses the many small steps of an operation into few loops, which is several times
        # faster.
        compiled = functools.partial(tf.function, autograph=False, jit_compile=True)
        # Each function exists once, because TensorFlow prepares every node again for each pass.
        self._numbers = compiled(self._draw_numbers)
        self._operations = compiled(self._apply_operations)
        self._reduction = compiled(self._compute_reduction)
        self._places = compiled(self._compute_places)

    def batch_views(self, epoch, rows, images, *labels):
        """Makes a batch of views from equally large images `(B, H, W, C)`."""
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
            # One operation at a time: XLA would otherwise fuse an operation into the next one, and
            # compute it again for each pixel of that one's window.
            x = tf.cast(images, tf.float32)
            for index in range(len(augmenter.operations)):
                x = self._operations(numbers[name], x, name, index, index + 1)
            views[name] = x
        return self._add_outputs(rows, views, labels)

    def file_views(self, epoch, source, mark_unreadable, row):
        """Makes the views of a single file of a source.

        A JPEG is decoded at the smallest scale at which no crop needs additional enlargement. If a
        file cannot be read, the views are those of the image that replaces it, or NaN throughout if
        `mark_unreadable` is True.
        """
        self._check_crops()

        def reduction_for(read_row, size):
            """The largest reduction of an image that needs no additional enlargement of a crop."""
            numbers = self._numbers(epoch, (row if mark_unreadable else read_row)[None])
            return self._reduction(numbers, size)

        shift = None
        if source.has_shifts and not mark_unreadable and self.teacher_features is None:
            shift = uniform(self.seed, epoch, row[None], SHIFT, 2)[0]
        reduced = reduction_for if self.reads_reduced else None
        read_row, image, size = source.read_file(row, reduced, shift)
        drawn_row = row if mark_unreadable else read_row
        label = [] if source.labels is None else [source.labels_of(drawn_row)]
        views = self._make_views(epoch, drawn_row, image, label, size)
        if not mark_unreadable:
            return views
        views, *label = views if label else (views,)
        views = {name: tf.where(read_row == row, view, np.nan) for name, view in views.items()}
        return (views, *label) if label else views

    def image_views(self, epoch, row, image, *labels):
        """Makes the views of a single image `(H, W, C)` of any size."""
        self._check_crops()
        return self._make_views(epoch, row, image, labels, tf.shape(image)[:2])

    def _make_views(self, epoch, row, image, labels, size):
        """Makes the views of one image, whose crops are boxes in pixels of its original `size`.

        TensorFlow's resize makes the crop. It equals the crop's own
        arithmetic, but its time grows with the crop only, instead of with two matrices of the whole
        image. A single image fits into a core's cache, unlike a batch of photographs. An operation
        that is not drawn for it, such as a blur, takes no time.
        """
        image = tf.ensure_shape(image, (None, None, self._channels(image)))
        numbers = self._numbers(epoch, row[None])
        places = self._places(numbers, size, tf.shape(image))
        views, whole = {}, {}
        for name, augmenter in self.augmenters.items():
            if name in self.cropped:
                index = augmenter.crop_index
                before = str([o.get_config() for o in augmenter.operations[:index]])
                if before not in whole:  # views share the operations before the crop
                    whole[before] = self._before_crop(augmenter, numbers[name], image)
                crop = _crop(whole[before], augmenter.crop.size, *places[name])
                batch = self._operations(numbers[name], crop[None], name, index + 1, None)
            else:  # layers or a function; on a single image, so that each image has its own draws
                batch = augmenter(tf.cast(image, tf.float32)[None])
            views[name] = batch[0]
            if not batch.shape[1:].is_fully_defined():
                raise ValueError(SIZES_MESSAGE.format(self.augmenters))
        return self._add_outputs(row, views, labels)

    def _before_crop(self, augmenter, numbers, image):
        """Applies the operations before the crop, which need the whole image."""
        if not augmenter.crop_index:
            return image
        images = tf.cast(image, tf.float32)[None]
        return augmenter.apply(images, numbers, slice(0, augmenter.crop_index))[0]

    def _add_outputs(self, rows, views, labels):
        """Stacks several views of a name; adds row numbers, teacher features and labels."""
        for name, more in self.more.items():
            views[name] = tf.stack([views[name], *map(views.pop, more)], axis=-4)
        if self.with_index:
            views["index"] = tf.cast(rows, tf.int32)
        if self.teacher_features is not None:
            views["key"] = self._read_features(rows)
        return (views, *labels) if labels else views

    def _read_features(self, rows):
        features = tf.numpy_function(self.teacher_features.rows, [rows], tf.float32)
        return tf.ensure_shape(features, (*rows.shape, self.teacher_features.dim))

    def _check_crops(self):
        """Raises a ValueError unless each `Augmenter` crops before any random operation."""
        for augmenter in self.cropped.values():
            if not augmenter.crops_first:
                raise ValueError(SIZES_MESSAGE.format(self.augmenters))

    def _channels(self, images):
        """The number of channels of images, or if it is unknown that of the augmenters."""
        known = images.shape[-1] if images.shape.rank else None
        expected = (getattr(augmenter, "channels", None) for augmenter in self.augmenters.values())
        return known or next((channels for channels in expected if channels), None)

    def _draw_numbers(self, epoch, rows):
        """Draws the random numbers of each view."""
        return {
            name: uniform(self.seed, epoch, rows, view, self.augmenters[name].draws)
            for view, name in enumerate(self.augmenters)
            if name in self.cropped
        }

    def _apply_operations(self, numbers, images, name, start, stop):
        return self.augmenters[name].apply(images, numbers, slice(start, stop))

    def _boxes(self, numbers, size):
        """Computes top, left, height and width of each crop, in pixels of an image's `size`."""
        boxes = {}
        for name, augmenter in self.cropped.items():
            own = numbers[name]
            factors = augmenter.factors(
                array_namespace(own), augmenter.crop_index, own, *tf.unstack(size)
            )
            boxes[name] = [factors[side][0] for side in ("top", "left", "height", "width")]
        return boxes

    def _compute_reduction(self, numbers, size):
        """Computes the largest reduction at which no crop needs additional enlargement."""
        sides = [
            tf.reduce_min(tf.cast(box[2:], tf.int32)) // self._crop_size(name)
            for name, box in self._boxes(numbers, size).items()
        ]
        return tf.reduce_min(sides)

    def _crop_size(self, name):
        return self.cropped[name].crop.size

    def _compute_places(self, numbers, size, shape):
        """Computes each crop's arguments of `_crop`, for an image decoded to `shape`.

        The decoded image may be smaller than its original `size`.
        """
        reduced = tf.cast(shape[:2], tf.float32) / tf.cast(size, tf.float32)
        places = {}
        for name, box in self._boxes(numbers, size).items():
            start, length = tf.stack(box[:2]) * reduced, tf.stack(box[2:]) * reduced
            first = tf.floor(start)
            last = tf.minimum(tf.math.ceil(start + length), tf.cast(shape[:2], tf.float32))
            begin, end = (tf.cast(x, tf.int32) for x in (first, last))
            extent = tf.concat([end - begin, shape[2:]], axis=0)
            side = self._crop_size(name)
            # Whole rows are treated as channels, along which TensorFlow vectorises its loops.
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
    """Warns if random operations in the graph under construction repeat their draws each epoch.

    TensorFlow restarts them in each pass over a data set, from their own seed or from the global
    seed that `keras.utils.set_random_seed` sets.
    """
    operations = sorted(
        operation.type
        for operation in tf.compat.v1.get_default_graph().get_operations()
        if operation.op_def.is_stateful
        and {"seed", "seed2"} <= set(operation.node_def.attr)
        and (operation.get_attr("seed") or operation.get_attr("seed2"))
    )
    if operations:
        logging.warning(
            "The function for view `%s` draws the same numbers in every epoch: TensorFlow's %s has "
            "a fixed seed, its own or that of `keras.utils.set_random_seed`. Use "
            "`keras_isd.augmentation`, whose draws depend on the epoch, or a `tf.random.Generator`",
            name,
            ", ".join(dict.fromkeys(operations)),
        )


def _crop(image, size, begin, extent, resizes):
    """Crops and resizes a part of an image to `(size, size, C)`, antialiased as `tf.image.resize`.

    Args:
        image: `(H, W, C)` tensor.
        size: int, side of the result in pixels.
        begin, extent: the part to read, arguments of `tf.slice`.
        resizes: list of triples (shape, scale, shift), for the rows and for the columns.
    """
    channels = image.shape[-1]
    part = tf.slice(image, begin, extent)
    if part.dtype not in RESIZABLE_DTYPES:
        part = tf.cast(part, tf.float32)
    for shape, scale, shift in resizes:  # the rows, then the columns, transposed to rows
        resized = tf.raw_ops.ScaleAndTranslate(  # also converts integers to floats
            images=tf.reshape(part, shape),
            size=(size, 1),
            scale=scale,
            translation=shift,
            kernel_type="triangle",
            antialias=True,
        )
        part = tf.transpose(tf.reshape(resized, (size, -1, channels)), (1, 0, 2))
    return tf.ensure_shape(part, (size, size, channels))
