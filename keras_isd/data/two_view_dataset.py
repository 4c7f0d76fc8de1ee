"""From a data set of images to batches of two views."""

import tensorflow as tf


def two_view_dataset(
    dataset, query, key, batch_size, seed=None, shuffle_buffer=50_000, drop_remainder=True
):
    """Makes batches of two views of each image, for `ISDModel.fit`.

    Args:
        dataset: `tf.data.Dataset` of single images `(H, W, 3)` in [0, 255], all of one
            size, or of pairs (image, integer label).
        query: function from a batch of images to the student's views, such as
            `keras_isd.augmentation.strong(32)`.
        key: the same for the teacher's views.
        batch_size: int.
        seed: int or None, for the order of the images, another in each epoch.
        shuffle_buffer: int, images to draw the next from; 0 keeps the order.
        drop_remainder: bool, whether to leave out an epoch's last batch where it is
            smaller, as the authors do.

    Returns:
        `tf.data.Dataset` of `{"query": (B, H, W, 3), "key": (B, H, W, 3)}`, with labels
        `(B,)` as a pair.

    Raises:
        ValueError: if `batch_size` is not positive.

    Example:

    >>> images = tf.data.Dataset.from_tensor_slices(np.zeros((20, 40, 40, 3), "uint8"))
    >>> weak = keras_isd.augmentation.weak(32)
    >>> batches = keras_isd.data.two_view_dataset(images, query=weak, key=weak, batch_size=8)
    >>> {name: views.shape for name, views in next(iter(batches)).items()}
    {'query': TensorShape([8, 32, 32, 3]), 'key': TensorShape([8, 32, 32, 3])}
    """
    if batch_size < 1:
        raise ValueError(f"Argument `batch_size` must be positive. Received: {batch_size=}")

    def views(images, *labels):
        # One layer cannot draw for both views at once, so they are made one after the other.
        both = {"query": query(images), "key": key(images)}
        return (both, *labels) if labels else both

    if shuffle_buffer:
        dataset = dataset.shuffle(shuffle_buffer, seed=seed)
    # Several calls at once would draw the layers' random numbers in no fixed order.
    batches = dataset.batch(batch_size, drop_remainder=drop_remainder).map(views)
    return batches.prefetch(tf.data.AUTOTUNE)
