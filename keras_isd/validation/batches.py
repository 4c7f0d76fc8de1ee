"""Checks of the batches given to `fit`, and their sizes."""

import copy

import keras

from keras_isd.compat.keras_internals import detach_workers

VIEWS = ("query", "key")


def check_batch(data, check_views, accepts_images=False):
    """Raises a ValueError unless `data` is a batch that `fit` accepts, with or without labels.

    A batch is a dict such as `{"query": (B, H, W, C), "key": (B, H, W, C)}`, or a pair of the dict
    and integer labels `(B,)`. The check reads shapes and dtypes only, not values, so a compiled
    step contains no trace of it.

    Args:
        data: the batch.
        check_views: function that raises a ValueError unless the dict of views is valid.
        accepts_images: bool, whether the batch may also be plain images `(B, H, W, C)`, from which
            the model makes its views. Defaults to False.

    Raises:
        ValueError: if views, labels or sample weights are missing or of another shape or dtype.
    """
    views, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    if isinstance(views, dict):
        check_views(views)
        index = views.get("index")
        if index is not None and not (_is_vector(index) and "int" in str(index.dtype)):
            raise ValueError(
                "The index of a batch must be integers of shape (batch,). "
                f"Received: index={_describe(index)}"
            )
    elif not accepts_images:
        raise ValueError(
            'Expected batches of {"query": images, "key": images}, or pairs of that dict and '
            "labels; a pair (query, key) is read as (x, y). Plain images need a model with a "
            f"`query_augmenter` and a `key_augmenter`. Received: x={_describe(views)}"
        )
    elif not (hasattr(views, "shape") and _is_compatible(_static_shape(views), (None,) * 4)):
        raise ValueError(
            "Expected batches of plain images (batch, height, width, channels), or of two views. "
            f"Received: x={_describe(views)}"
        )
    if labels is not None and not (_is_vector(labels) and "int" in str(labels.dtype)):
        raise ValueError(
            "Labels must be integers of shape (batch,), with -1 for unknown labels. "
            f"Received: labels={_describe(labels)}"
        )
    if weights is not None and not _is_vector(weights):
        raise ValueError(
            "Sample weights must have shape (batch,), one for each image. "
            f"Received: sample_weight={_describe(weights)}"
        )


def tuple_batches(x):
    """Makes the batches of a PyTorch DataLoader tuples; returns other data unchanged.

    Keras 3.15 treats each batch of a DataLoader as a tuple (`TorchDataLoaderAdapter`), and keeps
    only the names of a dict.
    """
    if not hasattr(x, "drop_last") or not hasattr(x, "collate_fn"):
        return x
    loader = detach_workers(copy.copy(x))
    loader.collate_fn = ChainedCollate(x.collate_fn, _to_tuple)
    return loader


def _to_tuple(batch):
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)


class ChainedCollate:
    """A `collate_fn` that applies `after` to the result of another one.

    It is a class because worker processes have to pickle it.
    """

    def __init__(self, collate, after):
        self.collate, self.after = collate, after

    def __call__(self, items):
        return self.after(self.collate(items))


def batch_sizes(x, batch_size=None, validation_split=0.0):
    """Lists the sizes of the batches that Keras makes from `x`; None stands for an unknown size."""
    if hasattr(x, "element_spec"):  # tf.data
        return {_static_batch_size(x)}
    if isinstance(x, keras.utils.PyDataset):
        ends = (x[0], x[x.num_batches - 1]) if x.num_batches else (x[0],)
        return {keras.tree.flatten(batch)[0].shape[0] for batch in ends}
    if hasattr(x, "drop_last"):  # PyTorch's DataLoader
        if x.batch_size is None:  # a `batch_sampler` chooses
            return {None}
        count = _length(x.dataset)
        if count is None or x.drop_last:
            return {x.batch_size} if x.drop_last else {x.batch_size, None}
        return _split_sizes(count, x.batch_size)
    count = image_count(x, batch_size, validation_split)
    return {None} if count is None else _split_sizes(count, batch_size or 32)  # Keras' default


def image_count(x, batch_size=None, validation_split=0.0):
    """Estimates the number of images in an epoch; None if that would require reading images."""
    if hasattr(x, "element_spec"):  # tf.data; a distributed data set has no cardinality
        size, cardinality = _static_batch_size(x), getattr(x, "cardinality", None)
        batches = int(cardinality()) if callable(cardinality) else -1
        return batches * size if batches > 0 and size is not None else None
    if isinstance(x, keras.utils.PyDataset):
        size = getattr(x, "batch_size", None)
        return x.num_batches * size if x.num_batches and isinstance(size, int) else None
    if hasattr(x, "drop_last"):  # PyTorch's DataLoader
        return _length(x.dataset)
    arrays = keras.tree.flatten(x)
    if not arrays or not hasattr(arrays[0], "shape"):
        return None
    return int(arrays[0].shape[0] * (1.0 - (validation_split or 0.0)))


def _static_batch_size(dataset):
    """The static batch size of a tf.data data set; None if it is unknown or per replica."""
    shape = getattr(keras.tree.flatten(dataset.element_spec)[0], "shape", None)
    return shape[0] if shape is not None and shape.rank else None


def _length(dataset):
    """The number of images of a PyTorch data set; None if it has no length."""
    return len(dataset) if hasattr(dataset, "__len__") else None


def _split_sizes(count, size):
    """The sizes of the batches that `count` images are split into."""
    return ({size} if count >= size else set()) | ({count % size} - {0})


def check_two_views(views):
    """Raises a ValueError unless `"query"` and `"key"` are in the dict and have the same shape."""
    missing = [name for name in VIEWS if name not in views]
    if missing:
        raise ValueError(
            'A batch must hold the two views under "query" and "key". '
            f"Received: keys {sorted(views)}, without {missing}"
        )
    query, key = (_static_shape(views[name]) for name in VIEWS)
    if not _is_compatible(query, key):
        raise ValueError(
            f"The two views of a batch must have the same shape. Received: query {query}, key {key}"
        )


def check_shapes(views, expected):
    """Raises a ValueError unless a dict holds tensors of the expected shapes.

    Args:
        views: dict of tensors.
        expected: dict from a name to a pair: a description of the tensor for the error message, and
            its axes. An axis is an int if its size is known, or else the axis' name.
    """
    for name, (description, axes) in expected.items():
        sizes = tuple(axis if isinstance(axis, int) else None for axis in axes)
        view = views.get(name)
        if not (hasattr(view, "shape") and _is_compatible(_static_shape(view), sizes)):
            raise ValueError(
                f'A batch must hold under "{name}" {description} ({", ".join(map(str, axes))}). '
                f"Received: { ({name: _describe(view) for name, view in views.items()}) }"
            )


def _is_vector(x):
    return hasattr(x, "shape") and _is_compatible(_static_shape(x), (None,))


def _static_shape(x):
    """The static shape, with None for unknown sizes; None if the rank is unknown."""
    return None if getattr(x.shape, "rank", 0) is None else tuple(x.shape)


def _is_compatible(shape, other):
    if shape is None or other is None:
        return True
    pairs = zip(shape, other)
    return len(shape) == len(other) and all(a == b or None in (a, b) for a, b in pairs)


def _describe(x):
    if not hasattr(x, "shape"):
        return repr(x)
    return f"{type(x).__name__} of shape {_static_shape(x)}, {x.dtype}"
