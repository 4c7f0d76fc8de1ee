"""Makes batches of views: two of each image for training, one for evaluation and classifiers."""

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
from keras_isd.validation.arguments import check_natural, check_positive_integer
from keras_isd.validation.first_batch import FirstBatchCheck, check_in_graph
from keras_isd.validation.images import PIXEL_RANGE, warn_of_pixels

MANY_IMAGES = 1000  # images per pass that make up for the start of more threads


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
    key_views=1,
    small_query=None,
    small_views=0,
):
    """Makes batches of two views of each image, for `ISDModel.fit`.

    Each complete pass over the result is an epoch, with a new order and new views. An incomplete
    pass does not count: the next pass starts again with the same batches. Order and views depend
    only on (seed, epoch, row, view), so runs are reproducible, with any number of parallel calls
    and after a resume. Views are drawn from Threefry, a counter-based generator, with (seed, epoch)
    as key and (row, view) as counter; for images of 32 pixels the generator takes about a tenth of
    the time of a view.

    Args:
        dataset: `keras_isd.data.ImageSource`, or a `tf.data.Dataset` of single images
            `(H, W, C)` or of pairs (image, integer label), which must have the same order in each
            pass. Images may differ in size.
        query: `keras_isd.augmentation.Augmenter` for the student's views, such as
            `keras_isd.augmentation.strong(32)`; or any function from a batch of equally large
            images to views, which then is responsible for its own randomness.
        key: the same for the teacher's views; None with `teacher_features`.
        batch_size: int.
        seed: int; None to draw a seed that depends on `keras.utils.set_random_seed`. Defaults to
            None.
        shuffle_buffer: int, the number of images from which a `tf.data.Dataset` draws the next one.
            A source is always shuffled as a whole, without using memory. 0 keeps the order.
            Defaults to 50,000.
        drop_remainder: bool, whether to omit an epoch's last batch if it is smaller, as the authors
            do. Defaults to True.
        initial_epoch, initial_step: ints, the epoch and the step with which the first pass starts,
            to resume a run. A source starts there at no cost; a `tf.data.Dataset` is read up to
            that step. Default to 0.
        num_shards, shard_index: ints, the number of workers that share the images, and the index of
            this one. The workers' batches of a step are together the batch of a single worker with
            `num_shards` times the batch size. Default to 1 and 0.
        num_parallel_calls: int, number of batches (or files) processed in parallel. Defaults to
            `tf.data.AUTOTUNE`.
        with_index: bool, whether to add `"index"` `(B,)`, the images' row numbers, for a model with
            `queue_indices=True`. If a file cannot be read, it is the row of the image that replaces
            it. Defaults to False.
        teacher_features: `(N, D)` array of floats, a teacher's features of each image by its row,
            or the path of a `.npy` file, which may be larger than memory. They replace the key: see
            `keras_isd.DistillationModel`. Defaults to None.
        query_views, key_views: ints >= 1, the number of views of each image for the student and for
            the teacher, as in the model: see `keras_isd.MomentumModel`. Default to 1.
        small_query: the same as `query`, for small views for the student, such as
            `keras_isd.augmentation.strong(32).with_crop(16, (0.05, 0.4))`; or None. Defaults to
            None.
        small_views: int, the number of small views of each image. Defaults to 0.

    Returns:
        `tf.data.Dataset` of `{"query": (B, size, size, C), "key": (B, size, size, C)}`, or of pairs
        of that dict and labels `(B,)`. With `teacher_features` the key has the shape `(B, D)`; with
        several queries the query has the shape `(B, query_views, size, size, C)`, and so have the
        others; small views are in `"small"`. The length of the result, that of a complete pass, is
        known if the length of `dataset` is known.

    Raises:
        ValueError: if `batch_size` is not positive or larger than the number of images,
            `initial_step` is outside the epoch, `shard_index` is not in `[0, num_shards)`, or there
            are several shards without `drop_remainder`, whose last batches would differ in size; if
            both or neither of `key` and `teacher_features` are given; or if the features differ in
            number from the images or are not finite; or if one of `small_query` and `small_views`
            is given without the other.

    Example:

    >>> images = tf.data.Dataset.from_tensor_slices(np.zeros((20, 40, 40, 3), "uint8"))
    >>> weak = keras_isd.augmentation.weak(32)
    >>> batches = keras_isd.data.two_view_dataset(images, query=weak, key=weak, batch_size=8)
    >>> {name: views.shape for name, views in next(iter(batches)).items()}
    {'query': TensorShape([8, 32, 32, 3]), 'key': TensorShape([8, 32, 32, 3])}
    """
    if (key is None) == (teacher_features is None):
        raise ValueError(
            "Argument `key` must be given for the teacher's views, or `teacher_features` instead, "
            f"but not both. Received: {key=}, teacher_features="
            f"{'None' if teacher_features is None else type(teacher_features).__name__}"
        )
    counts = {"query": query_views, "key": key_views, "small": small_views}
    check_positive_integer("query_views", query_views)
    check_positive_integer("key_views", key_views)
    check_natural("small_views", small_views)
    if (small_query is None) != (small_views == 0):
        raise ValueError(
            "Arguments `small_query` and `small_views` must be given together. "
            f"Received: {small_query=}, {small_views=}"
        )
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
    views = {"query": query, "key": key, "small": small_query}
    views = {name: view for name, view in views.items() if view is not None}
    outputs = {"with_index": with_index, "counts": {name: counts[name] for name in views}}
    if teacher_features is not None:
        count = _count(dataset)
        outputs["teacher_features"] = TeacherFeatures(teacher_features, count)
    return _batches(dataset, order, views, outputs, num_parallel_calls)


def one_view_dataset(dataset, view, batch_size, seed=None, shuffle_buffer=0, drop_remainder=False):
    """Makes batches of one view of each image, with labels if there are any.

    By default it keeps the order of the images, for `keras_isd.evaluation`. With a `shuffle_buffer`
    and a random view it serves training with labels: each pass has a new order and new views, which
    are reproducible as in `two_view_dataset`.

    If a file cannot be read and the order is kept, its view is NaN, which `keras_isd.evaluation`
    omits. With a `shuffle_buffer` another image replaces it, with its own label.

    Args:
        dataset: `keras_isd.data.ImageSource`, or a `tf.data.Dataset` of single images
            `(H, W, C)` or of pairs (image, integer label). Images may differ in size.
        view: `keras_isd.augmentation.Augmenter`, such as `keras_isd.augmentation.evaluation(32)`,
            or any function from a batch of equally large images to views.
        batch_size: int.
        seed: int; None to draw a seed that depends on `keras.utils.set_random_seed`. Defaults to
            None.
        shuffle_buffer: int, see `two_view_dataset`; 0 keeps the order. Defaults to 0.
        drop_remainder: bool, whether to omit the last batch if it is smaller. Defaults to False.

    Returns:
        `tf.data.Dataset` of views `(B, size, size, C)`, or of pairs of views and labels `(B,)`.

    Raises:
        ValueError: if `batch_size` is not positive, or too large for `drop_remainder`.

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
    """Makes batches of a dict of views of each image, with one view for each augmenter.

    Args:
        dataset: `ImageSource` or `tf.data.Dataset`, see `two_view_dataset`.
        order: `EpochOrder`.
        augmenters: dict from names of views to `Augmenter`s or other functions.
        outputs: dict of further arguments of `ViewMaker`. Defaults to None.
        num_parallel_calls: int, see `two_view_dataset`. Defaults to `tf.data.AUTOTUNE`.
        mark_unreadable: bool, whether the views of an unreadable file are NaN. Otherwise views and
            index are those of the image that replaces it. Defaults to False.
    """
    augmenters = as_views(augmenters)
    is_own = all(isinstance(view, Augmenter) for view in augmenters.values())
    ranges = {name: v.value_range for name, v in augmenters.items() if is_own}
    check_images(dataset, {name: v.channels for name, v in augmenters.items() if is_own})
    check_pixels(dataset, ranges)
    count = _count(dataset)
    steps = order.steps(count)
    if order.seed is None:
        order = dataclasses.replace(order, seed=random.getrandbits(31))
    views = ViewMaker(augmenters, order.seed, **(outputs or {}))
    # Without parallel calls a function draws its own random numbers in a fixed order.
    calls = num_parallel_calls if views.is_stateless else None
    epoch = tf.Variable(order.initial_epoch, dtype=tf.int64, trainable=False)

    def one_pass(epoch):
        if not isinstance(dataset, ImageSource):
            elements = order.elements(dataset, count, epoch)
            return _batch_elements(order, elements, views, epoch, calls)
        rows = order.rows(count, epoch)
        if dataset.in_memory:
            return rows.map(
                lambda rows: views.batch_views(epoch, *dataset.read_with_rows(rows)),
                num_parallel_calls=calls,
            )
        make = functools.partial(views.file_views, epoch, dataset, mark_unreadable)
        return order.batch(rows.unbatch().map(make, num_parallel_calls=calls))

    passes = tf.data.Dataset.from_tensors(0).map(lambda _: epoch.read_value())
    batches = passes.flat_map(one_pass)
    if steps is not None and order.initial_step == 0:
        batches = batches.apply(tf.data.experimental.assert_cardinality(steps))
    if not is_own:
        batches = check_in_graph(batches, FirstBatchCheck())
    has_threads = views.is_stateless and (count is None or count >= MANY_IMAGES)
    in_memory = isinstance(dataset, ImageSource) and dataset.in_memory
    batches = batches.with_options(_options(has_threads, in_memory))
    return _count_epochs(batches.prefetch(tf.data.AUTOTUNE), epoch, steps, order)


def _count(dataset):
    """The number of images; None if it is unknown."""
    if isinstance(dataset, ImageSource):
        return len(dataset)
    count = int(dataset.cardinality()) if isinstance(dataset, tf.data.Dataset) else -1
    return count if count >= 0 else None


def _count_epochs(batches, epoch, steps, order):
    """Increments the variable `epoch` at the end of each pass over the batches.

    It follows the prefetch, so that batches that are only prefetched do not end a pass.
    """
    if steps is None:
        batches = _advance_after_end(batches, epoch)
    else:
        first_pass = steps - order.initial_step
        batches = batches.enumerate().map(
            lambda number, batch: _advance_with_last(
                number, batch, epoch, tf.where(epoch == order.initial_epoch, first_pass, steps)
            )
        )
    batches.range_is_checked = True  # `fit` then does not check the first batch again
    if steps is not None and order.initial_step:
        # Keras reads the cardinality once, and would use that of a shorter first pass for all.
        batches.cardinality = lambda: tf.constant(steps, tf.int64)
    return batches


def _options(has_threads, in_memory):
    """Options without TensorFlow's autotuning, and optionally with more threads than cores.

    Parallel calls are as many as threads from the start; of an array, whose calls are whole
    batches, at most 16. The thread that would tune them sleeps for up to a minute, and an iterator
    that is deleted often waits until it wakes up: `fit` then seems to hang at its end.

    Each thread works on one image, or on one batch of an array. With more threads than cores
    photographs are a quarter faster. A thread that waits for another one leaves its core idle; on
    two cores four threads are 16 % faster than two, six are 25 % faster, and twelve are no faster
    than six. But each thread adds a tenth of a second to the start of a pass, which does not pay
    for few images.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    if has_threads:
        affinity = getattr(os, "sched_getaffinity", None)  # only Linux reports this process' cores
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
        threads = cores + min(2 * cores, 16)
        options.threading.private_threadpool_size = threads
        options.autotune.initial_parallelism = min(threads, 16) if in_memory else threads
        options.threading.max_intra_op_parallelism = 1
    return options


def _advance_with_last(number, batch, epoch, length):
    """Returns the batch, and increments the epoch with the last batch of a pass."""
    is_last = number + 1 == tf.cast(length, tf.int64)
    epoch.assign_add(tf.cast(is_last, tf.int64))
    return batch


def _advance_after_end(batches, epoch):
    """Increments the epoch after the batches of a pass of unknown length."""
    end = tf.data.Dataset.range(1).filter(lambda _: epoch.assign_add(1) < 0)
    return batches.concatenate(end.flat_map(lambda _: batches.take(0)))


def _batch_elements(order, elements, views, epoch, calls):
    """Makes batches of views of elements (row, image, *label), whose sizes may differ."""
    if elements.element_spec[1].shape.is_fully_defined():
        return order.batch(elements).map(functools.partial(views.batch_views, epoch), calls)
    return order.batch(elements.map(functools.partial(views.image_views, epoch), calls))


EXPECTED = (
    "Argument `dataset` must be a source of images, such as `keras_isd.data.from_folder`, "
    "`from_arrays` and `from_tfds` make, or a tf.data.Dataset of single images (height, width, "
    "channels), or of pairs (image, integer label), not yet in batches."
)


def check_images(dataset, channels):
    """Raises a ValueError unless views can be made from the images of `dataset`.

    Args:
        dataset: `ImageSource` or `tf.data.Dataset`.
        channels: dict from names of views to the number of channels that they need; None for any
            number.
    """
    if isinstance(dataset, ImageSource):
        _check_channels(dataset.channels, channels)
        return
    if not isinstance(dataset, tf.data.Dataset):
        received = f"{type(dataset).__name__}" + (
            f" of shape {dataset.shape}" if hasattr(dataset, "shape") else f" {dataset!r:.80}"
        )
        raise ValueError(f"{EXPECTED} Received: {received}")
    spec = dataset.element_spec
    image, *label = spec if isinstance(spec, tuple) else (spec,)
    is_valid = (
        isinstance(image, tf.TensorSpec)
        and len(label) <= 1
        and (not channels or image.shape.is_compatible_with((None, None, None)))
        and (image.dtype.is_integer or image.dtype.is_floating)
        and all(x.shape.is_compatible_with(()) and x.dtype.is_integer for x in label)
    )
    if not is_valid:
        raise ValueError(f"{EXPECTED} Received: a data set of {spec}")
    if image.shape.rank:
        _check_channels(image.shape[-1], channels)


def _check_channels(received, channels):
    for name, expected in channels.items():
        if None not in (received, expected) and received != expected:
            raise ValueError(
                f"Argument `{name}` must make views of images with {received} channels, as the "
                "images have: make it with the statistics of "
                "`keras_isd.data.channel_statistics(source)`, such as `weak(size, statistics)`. "
                f"Received: {name} for {expected} channels"
            )


def check_pixels(dataset, ranges):
    """Warns if the values of the first images do not fit the ranges of the views.

    Args:
        dataset: `ImageSource` or `tf.data.Dataset`.
        ranges: dict from names of views to their value ranges. Images of 8 bits are not checked
            against the range (0, 255).
    """
    spec = None if isinstance(dataset, ImageSource) else dataset.element_spec
    dtype = dataset.dtype if spec is None else (spec[0] if isinstance(spec, tuple) else spec).dtype
    ranges = [r for r in ranges.values() if dtype != "uint8" or r != PIXEL_RANGE]
    if not ranges:
        return
    first = dataset.dataset().take(8) if spec is None else dataset.take(8)
    images = [(x[0] if isinstance(x, tuple) else x).numpy() for x in first]
    for value_range in {str(r): r for r in ranges}.values():  # a measured range may hold lists
        warn_of_pixels(images, value_range)
