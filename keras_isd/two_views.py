"""What `fit` and `evaluate` take: batches of two views, checked before they are used."""

import keras

VIEWS = ("query", "key")


def check_batch(data):
    """Raises a ValueError unless `data` is a batch of two views, with or without labels.

    A batch is `{"query": (B, H, W, C), "key": (B, H, W, C)}`, or a pair of that and
    integer labels `(B,)`. Shapes and dtypes are looked at, not values, so that nothing
    is left of the check in a compiled step.
    """
    views, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    if not isinstance(views, dict):
        raise ValueError(
            'Expected batches of {"query": images, "key": images}, or a pair of that and labels; '
            f"a pair (query, key) is read as (x, y). Received: x={_describe(views)}"
        )
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
