"""Batches of views of each image: two for training, one for evaluation and for classifiers."""

from keras_isd.data.pipeline import view_batches
from keras_isd.quiet_tensorflow import tf


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
    views = {"query": query} if key is None else {"query": query, "key": key}
    return view_batches(
        dataset,
        views,
        batch_size,
        teacher_features=teacher_features,
        seed=seed,
        shuffle_buffer=shuffle_buffer,
        drop_remainder=drop_remainder,
        initial_epoch=initial_epoch,
        initial_step=initial_step,
        num_shards=num_shards,
        shard_index=shard_index,
        num_parallel_calls=num_parallel_calls,
        with_index=with_index,
        query_views=query_views,
    )


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
    batches = view_batches(
        dataset,
        {"view": view},
        batch_size,
        seed=seed,
        shuffle_buffer=shuffle_buffer,
        drop_remainder=drop_remainder,
        mark_unreadable=not shuffle_buffer,
    )
    if isinstance(batches.element_spec, dict):
        return batches.map(lambda views: views["view"])
    return batches.map(lambda views, labels: (views["view"], labels))
