"""Batches: what `fit` takes, and how large the batches are that Keras makes of its data."""

import copy

import keras

from keras_isd.compat.keras_internals import without_workers

VIEWS = ("query", "key")


def check_batch(data, check_views, plain=False):
    """Raises a ValueError unless `data` is a batch as `fit` takes it, with or without labels.

    With `plain` it may be images `(B, H, W, C)`, of which the model makes its views. Of a dict
    `check_views` says whether it is right.

    A batch is a dict such as `{"query": (B, H, W, C), "key": (B, H, W, C)}`, or a pair of that
    and integer labels `(B,)`. Shapes and dtypes are looked at, not values, so that nothing
    is left of the check in a compiled step.
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
    elif not plain:
        raise ValueError(
            'Expected batches of {"query": images, "key": images}, or a pair of that and labels; '
            "a pair (query, key) is read as (x, y). Plain images take a model that has a "
            f"`query_augmenter` and a `key_augmenter`. Received: x={_describe(views)}"
        )
    elif not (hasattr(views, "shape") and _compatible(_dimensions(views), (None,) * 4)):
        raise ValueError(
            "Expected batches of plain images (batch, height, width, channels), or of two views. "
            f"Received: x={_describe(views)}"
        )
    if labels is not None and not (_is_vector(labels) and "int" in str(labels.dtype)):
        raise ValueError(
            "Labels must be integers of shape (batch,), -1 where unknown. "
            f"Received: labels={_describe(labels)}"
        )
    if weights is not None and not _is_vector(weights):
        raise ValueError(
            "Sample weights must be of shape (batch,), one for each image. "
            f"Received: sample_weight={_describe(weights)}"
        )


def tuple_batches(x):
    """What `fit` was given; of a PyTorch DataLoader one whose batches are tuples.

    Keras 3.15 takes the batch of a DataLoader for a tuple (`TorchDataLoaderAdapter`), and of a dict
    keeps the names alone.
    """
    if not hasattr(x, "drop_last") or not hasattr(x, "collate_fn"):
        return x
    loader = without_workers(copy.copy(x))
    loader.collate_fn = Collated(x.collate_fn, _as_tuple)
    return loader


def _as_tuple(batch):
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)


class Collated:
    """A `collate_fn` that gives `after` of what another gives; a class, for workers to pickle."""

    def __init__(self, collate, after):
        self.collate, self.after = collate, after

    def __call__(self, items):
        return self.after(self.collate(items))


def batch_sizes(x, batch_size=None, validation_split=0.0):
    """The sizes of the batches that Keras makes of `x`, None among them where not yet known."""
    if hasattr(x, "element_spec"):  # tf.data
        return {_first_size(x)}
    if isinstance(x, keras.utils.PyDataset):
        ends = (x[0], x[x.num_batches - 1]) if x.num_batches else (x[0],)
        return {keras.tree.flatten(batch)[0].shape[0] for batch in ends}
    if hasattr(x, "drop_last"):  # PyTorch's DataLoader
        if x.batch_size is None:  # a `batch_sampler` chooses
            return {None}
        count = _length(x.dataset)
        if count is None or x.drop_last:
            return {x.batch_size} if x.drop_last else {x.batch_size, None}
        return _parts(count, x.batch_size)
    count = image_count(x, batch_size, validation_split)
    return {None} if count is None else _parts(count, batch_size or 32)  # as Keras has it


def image_count(x, batch_size=None, validation_split=0.0):
    """How many images there are in an epoch, about; None where that takes reading some."""
    if hasattr(x, "element_spec"):  # tf.data; a distributed data set has no cardinality to ask
        size, cardinality = _first_size(x), getattr(x, "cardinality", None)
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


def _first_size(dataset):
    """The static size of the batches of a tf.data data set; None if not known, or per replica."""
    shape = getattr(keras.tree.flatten(dataset.element_spec)[0], "shape", None)
    return shape[0] if shape is not None and shape.rank else None


def _length(dataset):
    """How many images a PyTorch data set has; None of one that only goes on and on."""
    return len(dataset) if hasattr(dataset, "__len__") else None


def _parts(count, size):
    return ({size} if count >= size else set()) | ({count % size} - {0})


def check_two_views(views):
    """Raises a ValueError unless a dict has two views of one shape, `"query"` and `"key"`."""
    missing = [name for name in VIEWS if name not in views]
    if missing:
        raise ValueError(
            'A batch must hold the two views under "query" and "key". '
            f"Received: keys {sorted(views)}, without {missing}"
        )
    query, key = (_dimensions(views[name]) for name in VIEWS)
    if not _compatible(query, key):
        raise ValueError(
            f"The two views of a batch must have the same shape. Received: query {query}, key {key}"
        )


def check_shapes(views, wanted):
    """Raises a ValueError unless a dict holds what is wanted.

    Args:
        views: dict of tensors.
        wanted: dict from a name to what is to be under it and its axes, of which those of a size
            that is known are ints, and others are named.
    """
    for name, (what, axes) in wanted.items():
        sizes = tuple(axis if isinstance(axis, int) else None for axis in axes)
        given = views.get(name)
        if not (hasattr(given, "shape") and _compatible(_dimensions(given), sizes)):
            raise ValueError(
                f'A batch must hold under "{name}" {what} ({", ".join(map(str, axes))}). '
                f"Received: { ({name: _describe(view) for name, view in views.items()}) }"
            )


def _is_vector(x):
    return hasattr(x, "shape") and _compatible(_dimensions(x), (None,))


def _dimensions(x):
    """The static shape, None for a size not known yet; None if not even the rank is known."""
    return None if getattr(x.shape, "rank", 0) is None else tuple(x.shape)


def _compatible(shape, other):
    if shape is None or other is None:
        return True
    pairs = zip(shape, other)
    return len(shape) == len(other) and all(a == b or None in (a, b) for a, b in pairs)


def _describe(x):
    if not hasattr(x, "shape"):
        return repr(x)
    return f"{type(x).__name__} of shape {_dimensions(x)}, {x.dtype}"
