"""What `fit` and `evaluate` take: batches of two views, checked before they are used."""

import keras

VIEWS = ("query", "key")


def check_batch(data):
    """Raises a ValueError unless `data` is a batch of two views, with or without labels.

    A batch is `{"query": (B, H, W, C), "key": (B, H, W, C)}`, or a pair of that and
    integer labels `(B,)`. Shapes and dtypes are looked at, not values, so that nothing
    is left of the check in a compiled step.
    """
    views, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
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
    query, key = (tuple(views[name].shape) for name in VIEWS)
    if query != key:
        raise ValueError(
            f"The two views of a batch must have the same shape. Received: query {query}, key {key}"
        )
    if labels is not None:
        _check_labels(labels)


def _check_labels(labels):
    shape = getattr(labels, "shape", None)
    if shape is None or len(shape) != 1 or "int" not in str(labels.dtype):
        raise ValueError(
            "Labels must be integers of shape (batch,), -1 where unknown. "
            f"Received: labels={_describe(labels)}"
        )


def _describe(x):
    shape = getattr(x, "shape", None)
    return repr(x) if shape is None else f"{type(x).__name__} of shape {tuple(shape)}, {x.dtype}"
