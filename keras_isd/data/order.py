"""The order in which an epoch goes through the images: a function of seed and epoch."""

import tensorflow as tf


def shuffled_rows(count, batch, seed, epoch, first, shuffle=True):
    """Batches of the rows 0 to `count` - 1 in the epoch's order, from place `first` on.

    The order is a pseudo-random permutation that is computed place by place: it takes no memory
    and can begin anywhere. `batch` makes batches of a data set.
    """
    places = batch(tf.data.Dataset.range(first, count))
    if not shuffle:
        return places
    key = tf.stack([tf.cast(seed, tf.int64), epoch])
    return places.map(
        lambda places: tf.random.experimental.index_shuffle(places, key, max_index=count - 1)
    )


def shuffled_elements(dataset, seed, epoch, first, buffer):
    """Elements (row, *element) of a data set that can only be read from its beginning.

    Rows are places in the data set's own order. What comes before place `first` of the epoch's
    order is read and dropped.
    """
    numbered = dataset.enumerate()
    if buffer:
        # In this function's graph alone: else TensorFlow's global seed would have a say.
        tf.compat.v1.set_random_seed(1)
        # An odd factor keeps the epochs of neighbouring seeds apart.
        mixed = tf.cast(seed, tf.int64) * 1_000_003 + epoch
        numbered = numbered.shuffle(buffer, mixed, reshuffle_each_iteration=False)
    later = numbered.skip(first)
    return later.map(lambda row, x: (row, *x) if isinstance(x, tuple) else (row, x))
