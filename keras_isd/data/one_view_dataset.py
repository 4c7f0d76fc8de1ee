"""Batches of one view of each image, for evaluation and for training with labels."""

from keras_isd.data.view_batches import view_batches


def one_view_dataset(dataset, view, batch_size, seed=None, shuffle_buffer=0, drop_remainder=False):
    """Makes batches of one view of each image, with its label if it has one.

    In the order of the images for evaluation, as `keras_isd.evaluation` wants them. With a
    `shuffle_buffer` and a random view it is a pipeline for training with labels: each pass then has
    another order and other views, which depend on `seed` alone, as in `two_view_dataset`.

    Args:
        dataset: `keras_isd.data.ImageSource`, or a `tf.data.Dataset` of single images
            `(H, W, 3)` in [0, 255], or of pairs (image, integer label). Images may differ in size.
        view: `keras_isd.augmentation.Augmenter`, such as `keras_isd.augmentation.evaluation(32)`,
            or any function from a batch of images of one size to views.
        batch_size: int.
        seed: int or None, which draws one that `keras.utils.set_random_seed` fixes.
        shuffle_buffer: int, see `two_view_dataset`; 0 keeps the order.
        drop_remainder: bool, whether to leave out a last batch that is smaller.

    Returns:
        `tf.data.Dataset` of `(B, size, size, 3)`, with labels `(B,)` as a pair.

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
    )
    if isinstance(batches.element_spec, dict):
        return batches.map(lambda views: views["view"])
    return batches.map(lambda views, labels: (views["view"], labels))
