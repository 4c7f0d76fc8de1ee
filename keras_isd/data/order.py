"""The order in which an epoch goes through the images: a function of seed and epoch."""

from keras_isd.quiet_tensorflow import tf


def shuffled_rows(count, places, batch, seed, epoch, shuffle=True):
    """Batches of the rows at some `places` of the epoch's order of rows 0 to `count` - 1.

    The order is a pseudo-random permutation that is computed place by place: it takes no memory
    and can begin anywhere.

    Args:
        count: int.
        places: triple of first place, what they end before, and step from one to the next.
        batch: function that makes batches of a data set.
        seed, epoch: what the order depends on.
        shuffle: whether rows are not simply in their own order.
    """
    places = batch(tf.data.Dataset.range(*places))
    if not shuffle:
        return places
    key = tf.stack([tf.cast(seed, tf.int64), epoch])
    return places.map(
        lambda places: tf.random.experimental.index_shuffle(places, key, max_index=count - 1)
    )


def shuffled_elements(dataset, places, seed, epoch, buffer):
    """Elements (row, *element) of a data set that can only be read from its beginning.

    Rows are places in the data set's own order. What is not at `places` (see `shuffled_rows`) of
    the epoch's order is read and dropped.
    """
    first, limit, step = places
    numbered = dataset.enumerate()
    if buffer:
        # Else TensorFlow's global seed would have a say.
        graph = tf.compat.v1.get_default_graph()
        global_seed, graph.seed = graph.seed, 1
        # An odd factor keeps the epochs of neighbouring seeds apart.
        mixed = tf.cast(seed, tf.int64) * 1_000_003 + epoch
        numbered = numbered.shuffle(buffer, mixed, reshuffle_each_iteration=False)
        graph.seed = global_seed  # which is the affair of functions of one's own
    chosen = numbered.take(limit).skip(first).shard(step, 0)
    return chosen.map(lambda row, x: (row, *x) if isinstance(x, tuple) else (row, x))
