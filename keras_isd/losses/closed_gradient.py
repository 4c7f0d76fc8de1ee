"""Parts that both losses share: each query's own key as an anchor, and closed-form gradients."""

from keras import ops


def append_own_key(logits, rows, own):
    """Appends to logits `(B, K)` the logit of each row's own key: `(B, K + 1)`."""
    return ops.concatenate([logits, ops.sum(rows * own, axis=-1, keepdims=True)], axis=-1)


def with_gradient(value, x, gradient):
    """Attaches a gradient: `value` `(B,)`, with `gradient` as derivative with respect to `x`.

    The added term is zero in the forward pass and `gradient` in the backward one:
    a custom gradient that every backend understands.
    """
    surrogate = ops.sum(x * ops.stop_gradient(gradient), axis=-1)
    return ops.stop_gradient(value) + (surrogate - ops.stop_gradient(surrogate))
