"""What both losses are made of: a query's own key as an anchor, and a gradient that is known."""

from keras import ops


def append_own_key(logits, rows, own):
    """Logits `(B, K)` and, behind them, that of each row's own key."""
    return ops.concatenate([logits, ops.sum(rows * own, axis=-1, keepdims=True)], axis=-1)


def with_gradient(value, x, gradient):
    """`value` `(B,)`, whose derivative with respect to the rows of `x` is `gradient`.

    The added term is zero in the forward pass and `gradient` in the backward one:
    a custom gradient that every backend understands.
    """
    surrogate = ops.sum(x * ops.stop_gradient(gradient), axis=-1)
    return ops.stop_gradient(value) + (surrogate - ops.stop_gradient(surrogate))
