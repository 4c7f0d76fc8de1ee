"""From images to batches of two views, the same ones whenever they are asked for."""

import functools
import random

import tensorflow as tf

from keras_isd.data.image_source import ImageSource
from keras_isd.data.order import shuffled_elements, shuffled_rows
from keras_isd.data.views import Views


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
):
    """Makes batches of two views of each image, for `ISDModel.fit`.

    Each pass over the result is an epoch, with another order and other views. Both depend on
    `seed`, the epoch and the image's row alone: not on how many calls run at a time, nor on
    whether the run began here or was resumed. Each image's views are drawn from Threefry, a
    counter-based generator, with (seed, epoch) as key and (row, view) as counter; for images of 32
    pixels that is about a tenth of the cost of a view.

    Args:
        dataset: `keras_isd.data.ImageSource`, or a `tf.data.Dataset` of single images
            `(H, W, 3)` in [0, 255], or of pairs (image, integer label), in the same order
            whenever it is read. Images may differ in size.
        query: `keras_isd.augmentation.Augmenter`, for the student's views, such as
            `keras_isd.augmentation.strong(32)`; or any function from a batch of images of one
            size to views, whose randomness is then its own affair.
        key: the same for the teacher's views.
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

    Returns:
        `tf.data.Dataset` of `{"query": (B, size, size, 3), "key": (B, size, size, 3)}`, with
        labels `(B,)` as a pair. Its length, that of a whole pass, is known where that of `dataset`
        is.

    Raises:
        ValueError: if `batch_size` is not positive or too large for the number of images, the
            first step is outside the epoch, `shard_index` is not in `[0, num_shards)`, or there
            are several shards without `drop_remainder`, whose last batches would differ in size.

    Example:

    >>> images = tf.data.Dataset.from_tensor_slices(np.zeros((20, 40, 40, 3), "uint8"))
    >>> weak = keras_isd.augmentation.weak(32)
    >>> batches = keras_isd.data.two_view_dataset(images, query=weak, key=weak, batch_size=8)
    >>> {name: views.shape for name, views in next(iter(batches)).items()}
    {'query': TensorShape([8, 32, 32, 3]), 'key': TensorShape([8, 32, 32, 3])}
    """
    if batch_size < 1:
        raise ValueError(f"Argument `batch_size` must be positive. Received: {batch_size=}")
    if not 0 <= shard_index < num_shards or (num_shards > 1 and not drop_remainder):
        raise ValueError(
            "Argument `shard_index` must be in [0, num_shards), and `drop_remainder` True where "
            f"there are several. Received: {shard_index=}, {num_shards=}, {drop_remainder=}"
        )
    from_source = isinstance(dataset, ImageSource)
    count = len(dataset) if from_source else int(dataset.cardinality())
    together = batch_size * num_shards
    steps = _steps_of_an_epoch(count, together, drop_remainder)
    if initial_step < 0 or (steps is not None and initial_step >= steps):
        raise ValueError(
            f"Argument `initial_step` must be in [0, {steps}), the steps of an epoch. "
            f"Received: {initial_step=}"
        )
    seed = random.getrandbits(31) if seed is None else seed
    views = Views({"query": query, "key": key}, seed)
    calls = num_parallel_calls if views.stateless else None  # which keeps the order of their draws
    epoch = tf.Variable(initial_epoch, dtype=tf.int64, trainable=False)

    def one_pass(epoch):
        first = tf.cast(tf.where(epoch == initial_epoch, initial_step * together, 0), tf.int64)
        # A last batch that is left out may not be left to one worker alone.
        end = steps * together if drop_remainder and steps else count
        places = (first + shard_index, end, num_shards)
        batch = functools.partial(
            tf.data.Dataset.batch, batch_size=batch_size, drop_remainder=drop_remainder
        )
        if not from_source:
            elements = shuffled_elements(dataset, places, seed, epoch, shuffle_buffer)
            return _of_elements(elements, batch, views, epoch, calls)
        rows = shuffled_rows(count, places, batch, seed, epoch, shuffle_buffer)
        if dataset.in_memory:
            return rows.map(
                lambda rows: views.of_batch(epoch, rows, *dataset.read(rows)),
                num_parallel_calls=calls,
            )
        elements = rows.unbatch().map(
            lambda row: (row, *dataset.read(row)), num_parallel_calls=calls
        )
        return _of_elements(elements, batch, views, epoch, calls)

    # Each pass takes the next epoch from the variable.
    passes = tf.data.Dataset.from_tensors(0).map(lambda _: epoch.assign_add(1) - 1)
    batches = passes.flat_map(one_pass)
    if steps is not None and initial_step == 0:
        batches = batches.apply(tf.data.experimental.assert_cardinality(steps))
    batches = batches.prefetch(tf.data.AUTOTUNE)
    if steps is not None and initial_step:
        # Keras asks once, and would take the length of a shorter first pass for that of all.
        batches.cardinality = lambda: tf.constant(steps, tf.int64)
    return batches


def _of_elements(elements, batch, views, epoch, calls):
    """Batches of views of elements (row, image, *label), whether or not sizes differ."""
    if elements.element_spec[1].shape.is_fully_defined():
        return batch(elements).map(functools.partial(views.of_batch, epoch), calls)
    return batch(elements.map(functools.partial(views.of_one, epoch), calls))


def _steps_of_an_epoch(count, batch_size, drop_remainder):
    """How many batches a pass gives, or None if that is not known."""
    if count < 0:
        return None
    steps = count // batch_size if drop_remainder else -(-count // batch_size)
    if steps == 0:
        raise ValueError(
            "Argument `batch_size` must be at most the number of images (of a worker), unless "
            f"`drop_remainder=False`. Received: {batch_size=} of all workers, {count} images"
        )
    return steps
