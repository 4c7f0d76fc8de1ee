"""InfoNCE: the contrastive loss of MoCo, and the anchors nearest to a key."""

from keras import ops

from keras_isd.compat.float32 import in_float32
from keras_isd.losses.closed_gradient import append_own_key, with_gradient


@in_float32
def contrastive(query, key, anchors, temperature=0.2):
    """Computes the InfoNCE loss: cross-entropy of finding each query's key among the anchors.

    The softmax is over the similarities to the key and to all anchors, which are negatives. This
    equals similarity distillation from a one-hot teacher. Arrays of batch x anchors are made for
    any size of the queue.

    Args:
        query: `(B, D)`, the student's embeddings, unit rows.
        key: `(B, D)`, the teacher's embeddings of the other views, unit rows.
        anchors: `(K, D)`, unit rows. Neither anchors nor keys get a gradient.
        temperature: float > 0. Defaults to 0.2.

    Returns:
        `(B,)` float32, in nats: about `log(K + 1)` for an untrained network.

    Source: van den Oord et al., "Representation learning with contrastive predictive coding",
    2018; equation 1 of He et al., "Momentum Contrast", 2020.

    Example:

    >>> x = np.eye(3, dtype="float32")
    >>> loss = keras_isd.losses.contrastive(x[:1], x[:1], x[1:], temperature=1.0)
    >>> keras.ops.convert_to_numpy(loss).round(4)  # log(e + 1 + 1) - 1
    array([0.5514], dtype=float32)
    """
    differentiable_query = ops.cast(query, "float32")
    query = ops.stop_gradient(differentiable_query) / temperature
    key = ops.stop_gradient(ops.cast(key, "float32"))
    anchors = ops.cast(ops.stop_gradient(ops.convert_to_tensor(anchors)), "float32")
    log_p = ops.log_softmax(
        append_own_key(ops.matmul(query, ops.transpose(anchors)), query, key), axis=-1
    )
    p = ops.exp(log_p)
    gradient = ops.matmul(p[:, :-1], anchors) + (p[:, -1:] - 1.0) * key
    return with_gradient(-log_p[:, -1], differentiable_query, gradient / temperature)


def nearest_anchors(key, anchors, count):
    """Finds the rows `(B, count)` of the anchors `(K, D)` nearest to each key `(B, D)`.

    The most similar anchor comes first.

    Example:

    >>> rows = keras_isd.losses.nearest_anchors(np.eye(3)[1:2], np.eye(3), count=1)
    >>> keras.ops.convert_to_numpy(rows).tolist()
    [[1]]
    """
    key, anchors = (
        ops.cast(ops.stop_gradient(ops.convert_to_tensor(x)), "float32") for x in (key, anchors)
    )
    return ops.top_k(ops.matmul(key, ops.transpose(anchors)), count)[1]
