"""Batches of views of each image: two for training, one for evaluation and for classifiers."""

import dataclasses
import functools
import os
import random

from keras_isd.augmentation import Augmenter
from keras_isd.augmentation.layer_chain import as_views
from keras_isd.compat.quiet_tensorflow import tf
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.data.teacher_features import TeacherFeatures
from keras_isd.data.tf_data.order import EpochOrder
from keras_isd.data.tf_data.views import ViewMaker
from keras_isd.validation.arguments import check_positive_integer
from keras_isd.validation.first_batch import FirstBatchCheck, check_in_graph
from keras_isd.validation.images import PIXEL_RANGE, warn_of_pixels

MANY_IMAGES = 1000  # in a pass, from which on more threads pay for their start


def two_view_dataset(
    dataset,
    query,
    key,
    batch_size,
    seed=None,
    shuffle_buffer=50_000,
    drop_remainder=True,
    initial_epoch=0,
    initial_step=0,
    num_shards=1,
    shard_index=0,
    num_parallel_calls=tf.data.AUTOTUNE,
    with_index=False,
    teacher_features=None,
    query_views=1,
):
    """Makes batches of two views of each image, for `ISDModel.fit`.

    Each whole pass over the result is an epoch, with another order and other views; a look at its
    first batches is none, and the next pass begins with them again. Order and views depend on
    `seed`, the epoch and the image's row alone: not on how many calls run at a time, nor on
    whether the run began here or was resumed. Each image's views are drawn from Threefry, a
    counter-based generator, with (seed, epoch) as key and (row, view) as counter; for images of 32
    pixels that is about a tenth of the cost of a view.

    Args:
        dataset: `keras_isd.data.ImageSource`, or a `tf.data.Dataset` of single images
            `(H, W, C)`, or of pairs (image, integer label), in the same order whenever it is read.
            Images may differ in size.
        query: `keras_isd.augmentation.Augmenter`, for the student's views, such as
            `keras_isd.augmentation.strong(32)`; or any function from a batch of images of one
            size to views, whose randomness is then its own affair.
        key: the same for the teacher's views; None beside `teacher_features`.
        batch_size: int.
        seed: int or None, which draws one that `keras.utils.set_random_seed` fixes.
        shuffle_buffer: int, of a `tf.data.Dataset`: images to draw the next from; 0 keeps the
            order. A source is always shuffled whole, at no cost of memory, unless it is 0.
        drop_remainder: bool, whether to leave out an epoch's last batch where it is
            smaller, as the authors do.
        initial_epoch, initial_step: ints, where the first pass begins, to resume a run. From a
            source that costs nothing; a `tf.data.Dataset` is read up to there.
        num_shards, shard_index: ints, how many workers share the images, and which one this is.
            Together the workers' batches of a step are the images of one worker's batch that is
            `num_shards` times as large.
        num_parallel_calls: int, batches (or files) that are worked on at a time.
        with_index: bool, whether `"index"` `(B,)`, the images' row numbers, goes along with the
            views, for a model with `queue_indices=True`. Where a file cannot be read it is the row
            of the image that stands in.
        teacher_features: `(N, D)` array of floats, the features that a teacher has of each image
            by its row, or the path of a `.npy` file of one, which may be larger than memory. They
            are the key then: see `keras_isd.DistillationModel`.
        query_views: int >= 1, how many of the student's views there are of each image, for a
            `keras_isd.DistillationModel` of as many.

    Returns:
        `tf.data.Dataset` of `{"query": (B, size, size, C), "key": (B, size, size, C)}`, or with
        `teacher_features` of a `"key"` `(B, D)`, and with labels `(B,)` as a pair. Several queries
        are `(B, query_views, size, size, C)`. Its length, that of a whole pass, is known where that
        of `dataset` is.

    Raises:
        ValueError: if `batch_size` is not positive or too large for the number of images, the
            first step is outside the epoch, `shard_index` is not in `[0, num_shards)`, or there
            are several shards without `drop_remainder`, whose last batches would differ in size;
            if there are both or neither of a `key` and `teacher_features`, or those are of another
            number of images or not finite.

    Example:

    >>> images = tf.data.Dataset.from_tensor_slices(np.zeros((20, 40, 40, 3), "uint8"))
    >>> weak = keras_isd.augmentation.weak(32)
    >>> batches = keras_isd.data.two_view_dataset(images, query=weak, key=weak, batch_size=8)
    >>> {name: views.shape for name, views in next(iter(batches)).items()}
    {'query': TensorShape([8, 32, 32, 3]), 'key': TensorShape([8, 32, 32, 3])}
    """
    if (key is None) == (teacher_features is None):
        raise ValueError(
            "Give a `key`, that makes the teacher's views, or `teacher_features` of all images. "
            f"Received: {key=}, teacher_features="
            f"{'None' if teacher_features is None else type(teacher_features).__name__}"
        )
    check_positive_integer("query_views", query_views)
    order = EpochOrder(
        batch_size,
        seed,
        shuffle_buffer,
        drop_remainder,
        initial_epoch,
        initial_step,
        num_shards,
        shard_index,
    )
    views = {"query": query} if key is None else {"query": query, "key": key}
    outputs = {"with_index": with_index, "query_views": query_views}
    if teacher_features is not None:
        count = _count(dataset)
        outputs["teacher_features"] = TeacherFeatures(teacher_features, count)
    return _batches(dataset, order, views, outputs, num_parallel_calls)


def one_view_dataset(dataset, view, batch_size, seed=None, shuffle_buffer=0, drop_remainder=False):
    """Makes batches of one view of each image, with its label if it has one.

    In the order of the images for evaluation, as `keras_isd.evaluation` wants them. With a
    `shuffle_buffer` and a random view it is a pipeline for training with labels: each pass then has
    another order and other views, which depend on `seed` alone, as in `two_view_dataset`.

    Of a file that cannot be read the view is NaN where the order is kept, which
    `keras_isd.evaluation` leaves out; with a `shuffle_buffer` another image stands in, with its own
    label.

    Args:
        dataset: `keras_isd.data.ImageSource`, or a `tf.data.Dataset` of single images
            `(H, W, C)`, or of pairs (image, integer label). Images may differ in size.
        view: `keras_isd.augmentation.Augmenter`, such as `keras_isd.augmentation.evaluation(32)`,
            or any function from a batch of images of one size to views.
        batch_size: int.
        seed: int or None, which draws one that `keras.utils.set_random_seed` fixes.
        shuffle_buffer: int, see `two_view_dataset`; 0 keeps the order.
        drop_remainder: bool, whether to leave out a last batch that is smaller.

    Returns:
        `tf.data.Dataset` of `(B, size, size, C)`, with labels `(B,)` as a pair.

    Raises:
        ValueError: if `batch_size` is not positive, or with `drop_remainder` too large.

    Example:

    >>> source = keras_isd.data.from_arrays(np.zeros((20, 40, 40, 3), "uint8"), np.arange(20))
    >>> view = keras_isd.augmentation.evaluation(32)
    >>> images, labels = next(iter(keras_isd.data.one_view_dataset(source, view, batch_size=8)))
    >>> images.shape, labels.numpy().tolist()
    (TensorShape([8, 32, 32, 3]), [0, 1, 2, 3, 4, 5, 6, 7])
    """
    order = EpochOrder(batch_size, seed, shuffle_buffer, drop_remainder)
    batches = _batches(dataset, order, {"view": view}, mark_unreadable=not shuffle_buffer)
    if isinstance(batches.element_spec, dict):
        return batches.map(lambda views: views["view"])
    return batches.map(lambda views, labels: (views["view"], labels))


def _batches(
    dataset,
    order,
    augmenters,
    outputs=None,
    num_parallel_calls=tf.data.AUTOTUNE,
    mark_unreadable=False,
):
    """Batches of a dict of views of each image, with a view for each augmenter.

    Args:
        dataset: `ImageSource` or `tf.data.Dataset`, see `two_view_dataset`.
        order: `EpochOrder`.
        augmenters: dict from names of views to `Augmenter`s or other functions.
        outputs: dict of further arguments of `ViewMaker`. Defaults to None.
        num_parallel_calls: int, see `two_view_dataset`.
        mark_unreadable: bool, whether the views of a file that cannot be read are NaN. Otherwise
            views and index are those of the image that stands in. Defaults to False.
    """
    augmenters = as_views(augmenters)
    own_views = all(isinstance(view, Augmenter) for view in augmenters.values())
    ranges = {name: v.value_range for name, v in augmenters.items() if own_views}
    check_images(dataset, {name: v.channels for name, v in augmenters.items() if own_views})
    check_pixels(dataset, ranges)
    count = _count(dataset)
    steps = order.steps(count)
    if order.seed is None:
        order = dataclasses.replace(order, seed=random.getrandbits(31))
    views = ViewMaker(augmenters, order.seed, **(outputs or {}))
    # Without parallel calls functions keep the order of their own random numbers.
    calls = num_parallel_calls if views.stateless else None
    epoch = tf.Variable(order.initial_epoch, dtype=tf.int64, trainable=False)

    def one_pass(epoch):
        if not isinstance(dataset, ImageSource):
            return _views_of_elements(
                order, order.elements(dataset, count, epoch), views, epoch, calls
            )
        rows = order.rows(count, epoch)
        if dataset.in_memory:
            return rows.map(
                lambda rows: views.of_batch(epoch, *dataset.read_with_rows(rows)),
                num_parallel_calls=calls,
            )
        one = functools.partial(views.of_file, epoch, dataset, mark_unreadable)
        return order.batch(rows.unbatch().map(one, num_parallel_calls=calls))

    passes = tf.data.Dataset.from_tensors(0).map(lambda _: epoch.read_value())
    batches = passes.flat_map(one_pass)
    if steps is not None and order.initial_step == 0:
        batches = batches.apply(tf.data.experimental.assert_cardinality(steps))
    if not own_views:
        batches = check_in_graph(batches, FirstBatchCheck())
    if views.stateless and (count is None or count >= MANY_IMAGES):
        batches = batches.with_options(_more_threads())
    return _count_epochs(batches.prefetch(tf.data.AUTOTUNE), epoch, steps, order)


def _count(dataset):
    """The number of images, or None if it is not known."""
    if isinstance(dataset, ImageSource):
        return len(dataset)
    count = int(dataset.cardinality()) if isinstance(dataset, tf.data.Dataset) else -1
    return count if count >= 0 else None


def _count_epochs(batches, epoch, steps, order):
    """The batches, at whose end the variable `epoch` is advanced.

    After the prefetch, so that batches that are only read ahead do not count as a pass.
    """
    if steps is None:
        batches = _advance_at_the_end(batches, epoch)
    else:
        first_pass = steps - order.initial_step
        batches = batches.enumerate().map(
            lambda number, batch: _advance_with_the_last(
                number, batch, epoch, tf.where(epoch == order.initial_epoch, first_pass, steps)
            )
        )
    batches.range_is_checked = True  # `fit` then does not check the first batch again
    if steps is not None and order.initial_step:
        # Keras asks once, and would take the length of a shorter first pass for that of all.
        batches.cardinality = lambda: tf.constant(steps, tf.int64)
    return batches


def _more_threads():
    """Options for one image, or batch of an array, a thread: photographs are a quarter quicker.

    A thread that waits for what it handed to another leaves its core idle, so there are more
    threads than cores: on two cores four are 16 % quicker than two, six 25 %, twelve no more. But
    each makes the start of a pass a tenth of a second longer, which few images do not make up for.
    """
    ours = getattr(os, "sched_getaffinity", None)  # Linux alone tells which cores are ours
    cores = len(ours(0)) if ours else os.cpu_count() or 1
    options = tf.data.Options()
    options.threading.private_threadpool_size = cores + min(2 * cores, 16)
    options.threading.max_intra_op_parallelism = 1
    return options


def _advance_with_the_last(number, batch, epoch, length):
    """The batch; with the last of a pass the next epoch begins."""
    is_last = number + 1 == tf.cast(length, tf.int64)
    epoch.assign_add(tf.cast(is_last, tf.int64))
    return batch


def _advance_at_the_end(batches, epoch):
    """The batches of a pass of unknown length; where it has ended the next epoch begins."""
    end = tf.data.Dataset.range(1).filter(lambda _: epoch.assign_add(1) < 0)
    return batches.concatenate(end.flat_map(lambda _: batches.take(0)))


def _views_of_elements(order, elements, views, epoch, calls):
    """Batches of views of elements (row, image, *label), whether or not sizes differ."""
    if elements.element_spec[1].shape.is_fully_defined():
        return order.batch(elements).map(functools.partial(views.of_batch, epoch), calls)
    return order.batch(elements.map(functools.partial(views.of_one, epoch), calls))


WANTED = (
    "Argument `dataset` must be a source of images, such as `keras_isd.data.from_folder`, "
    "`from_arrays` and `from_tfds` give, or a tf.data.Dataset of single images (height, width, "
    "channels), or of pairs (image, integer label), not yet in batches."
)


def check_images(dataset, channels):
    """Raises a ValueError unless `dataset` is something to make views of.

    Args:
        dataset: `ImageSource` or `tf.data.Dataset`.
        channels: dict from names of views to how many channels an image must have for them, None
            if that is all the same.
    """
    if isinstance(dataset, ImageSource):
        _check_channels(dataset.channels, channels)
        return
    if not isinstance(dataset, tf.data.Dataset):
        received = f"{type(dataset).__name__}" + (
            f" of shape {dataset.shape}" if hasattr(dataset, "shape") else f" {dataset!r:.80}"
        )
        raise ValueError(f"{WANTED} Received: {received}")
    spec = dataset.element_spec
    image, *label = spec if isinstance(spec, tuple) else (spec,)
    right = (
        isinstance(image, tf.TensorSpec)
        and len(label) <= 1
        and (not channels or image.shape.is_compatible_with((None, None, None)))
        and (image.dtype.is_integer or image.dtype.is_floating)
        and all(x.shape.is_compatible_with(()) and x.dtype.is_integer for x in label)
    )
    if not right:
        raise ValueError(f"{WANTED} Received: a data set of {spec}")
    if image.shape.rank:
        _check_channels(image.shape[-1], channels)


def _check_channels(received, channels):
    for name, wanted in channels.items():
        if None not in (received, wanted) and received != wanted:
            raise ValueError(
                f"Argument `{name}` must make views of images of {received} channels, as they are: "
                f"`weak(size, statistics)` and the like take as many as there are statistics of, "
                f"which `keras_isd.data.channel_statistics(source)` measures. Received: {name} of "
                f"{wanted} channels"
            )


def check_pixels(dataset, ranges):
    """Warns of images whose first do not look like values that the views are made for.

    Args:
        dataset: `ImageSource` or `tf.data.Dataset`.
        ranges: dict from names of views to the ranges of values that they are made for. Images of
            8 bits in the range of such need no look.
    """
    spec = None if isinstance(dataset, ImageSource) else dataset.element_spec
    dtype = dataset.dtype if spec is None else (spec[0] if isinstance(spec, tuple) else spec).dtype
    ranges = [r for r in ranges.values() if dtype != "uint8" or r != PIXEL_RANGE]
    if not ranges:
        return
    first = dataset.dataset().take(8) if spec is None else dataset.take(8)
    images = [(x[0] if isinstance(x, tuple) else x).numpy() for x in first]
    for value_range in {str(r): r for r in ranges}.values():  # one that is measured holds lists
        warn_of_pixels(images, value_range)
