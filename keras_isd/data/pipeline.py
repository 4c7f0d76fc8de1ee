"""From images to batches of views of them, the same ones whenever they are asked for."""

import functools
import os
import random

from keras_isd.argument_validation import check_positive_integer, check_seed
from keras_isd.augmentation import Augmenter
from keras_isd.augmentation.layer_chain import as_views
from keras_isd.data.checks import check_images, look_at_pixels
from keras_isd.data.image_source import ImageSource
from keras_isd.data.order import shuffled_elements, shuffled_rows
from keras_isd.data.teacher_features import TeacherFeatures
from keras_isd.data.view_maker import ViewMaker
from keras_isd.models.first_batch import Look, look_in_graph
from keras_isd.quiet_tensorflow import tf

FEW_IMAGES = 1000  # in a pass, for more threads to be worth their start


def view_batches(
    dataset,
    augmenters,
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
    mark_unreadable=False,
    teacher_features=None,
    query_views=1,
):
    """Batches of a dict of views of each image, one for each of the dict `augmenters`.

    With `mark_unreadable` the views of a file that cannot be read are NaN; else, views and index
    are of the image that stands in. The other arguments are those of `two_view_dataset`.
    """
    check_positive_integer("batch_size", batch_size)
    check_positive_integer("query_views", query_views)
    check_seed("seed", seed)
    if not 0 <= shard_index < num_shards or (num_shards > 1 and not drop_remainder):
        raise ValueError(
            "Argument `shard_index` must be in [0, num_shards), and `drop_remainder` True where "
            f"there are several. Received: {shard_index=}, {num_shards=}, {drop_remainder=}"
        )
    augmenters = as_views(augmenters)
    own_views = all(isinstance(view, Augmenter) for view in augmenters.values())
    ranges = {name: v.value_range for name, v in augmenters.items() if own_views}
    check_images(dataset, {name: v.channels for name, v in augmenters.items() if own_views})
    look_at_pixels(dataset, ranges)
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
    if teacher_features is not None:
        teacher_features = TeacherFeatures(teacher_features, count if count >= 0 else None)
    views = ViewMaker(augmenters, seed, with_index, teacher_features, query_views)
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
                lambda rows: views.of_batch(epoch, *dataset.read_with_rows(rows)),
                num_parallel_calls=calls,
            )
        one = functools.partial(views.of_file, epoch, dataset, mark_unreadable)
        return batch(rows.unbatch().map(one, num_parallel_calls=calls))

    passes = tf.data.Dataset.from_tensors(0).map(lambda _: epoch.read_value())
    batches = passes.flat_map(one_pass)
    if steps is not None and initial_step == 0:
        batches = batches.apply(tf.data.experimental.assert_cardinality(steps))
    if not own_views:
        batches = look_in_graph(batches, Look())
    if views.stateless and not 0 <= count < FEW_IMAGES:
        batches = batches.with_options(_threads())
    batches = batches.prefetch(tf.data.AUTOTUNE)
    # Behind the prefetch, so that what is read ahead for a look at some batches does not count.
    if steps is None:
        batches = _count_at_the_end(batches, epoch)
    else:
        first_pass = steps - initial_step
        batches = batches.enumerate().map(
            lambda number, batch: _count_at_the_last(
                number, batch, epoch, tf.where(epoch == initial_epoch, first_pass, steps)
            )
        )
    batches.range_is_checked = True  # for `fit` not to look again
    if steps is not None and initial_step:
        # Keras asks once, and would take the length of a shorter first pass for that of all.
        batches.cardinality = lambda: tf.constant(steps, tf.int64)
    return batches


def _threads():
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


def _count_at_the_last(number, batch, epoch, length):
    """The batch; with the last of a pass the next epoch begins."""
    is_last = number + 1 == tf.cast(length, tf.int64)
    epoch.assign_add(tf.cast(is_last, tf.int64))
    return batch


def _count_at_the_end(batches, epoch):
    """The batches of a pass of unknown length; where it has ended the next epoch begins."""
    end = tf.data.Dataset.range(1).filter(lambda _: epoch.assign_add(1) < 0)
    return batches.concatenate(end.flat_map(lambda _: batches.take(0)))


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
            "Argument `batch_size` must be at most the number of images, on several workers of "
            f"each, unless `drop_remainder=False`. Received: {batch_size=}, {count} images"
        )
    return steps
