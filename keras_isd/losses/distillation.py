"""Similarity distillation: the loss of ISD (Tejankar et al., ICCV 2021, section 3)."""

from typing import Any, NamedTuple

from keras import ops

from keras_isd.compat.float32 import in_float32
from keras_isd.losses.closed_gradient import append_own_key, with_gradient
from keras_isd.losses.streaming import exp_of_log, streamed_distillation

# A larger queue is read in blocks of the fastest size (measured by `benchmarks/scaling.py`): the
# similarities of a block stay in the cache.
STREAM_ABOVE = 32_768
BLOCK_SIZE = 2_048


class Distillation(NamedTuple):
    """Result of similarity distillation for one batch of queries.

    Attributes:
        loss: `(B,)` float32, KL(teacher || student) of each query, in nats.
            Only this field carries a gradient, and only to the queries.
        teacher_entropy: `(M,)` float32, entropy of the teacher's distribution
            over the anchors for each key, in nats: 0 if it is one-hot, `log(K)` if it is uniform.
        nearest: `(M, n)` int32, rows of the anchors nearest to each key, most similar
            first.
    """

    loss: Any
    teacher_entropy: Any
    nearest: Any


@in_float32
def similarity_distillation(
    query,
    key,
    anchors,
    teacher_temperature=0.01,
    student_temperature=0.1,
    num_nearest=0,
    block_size=None,
    own_key_anchor=False,
    queries_per_key=1,
):
    """Computes the loss of ISD: KL divergence of two similarity distributions.

    The similarities of a key to all anchors, sharpened by the teacher's
    temperature, are a soft target; the similarities of its query to the same
    anchors give the student's distribution; the loss is the KL divergence
    between the two. No anchor is simply a negative: an anchor similar to the key
    becomes similar to the query.

    The gradient with respect to the queries has a closed form,
    `(p_student - p_teacher) @ anchors / student_temperature`, which is passed on
    directly. It equals automatic differentiation on every backend, and no array
    of size batch x anchors is kept for the backward pass.

    Args:
        query: `(B, D)`, the student's embeddings, unit rows.
        key: `(M, D)`, the teacher's embeddings of the other views, unit rows; M is
            `B / queries_per_key`.
        anchors: `(K, D)`, unit rows, float32 or bfloat16. Neither anchors nor keys get a
            gradient.
        teacher_temperature: float > 0. Small values sharpen the target. Defaults to 0.01.
        student_temperature: float > 0. Defaults to 0.1.
        num_nearest: int, number of each key's nearest anchors to return. Defaults to 0.
        block_size: int, anchors compared at a time. Below K no array of size batch x queue is made.
            Defaults to None: all anchors of a queue of up to 32,768, blocks of a larger one.
        own_key_anchor: bool, whether each query's own key is an additional anchor, for this query
            alone. Defaults to False.
        queries_per_key: int, the number of queries of each key, next to each other. Defaults to 1.

    Returns:
        A `Distillation`.

    Source: section 3 and equations 1 to 3 of the paper; `KLD` and
    `ISD.forward` in the authors' `train_isd_plus.py`.

    Example:

    >>> unit = keras.ops.normalize(np.random.randn(70, 16), axis=-1)
    >>> result = similarity_distillation(unit[:3], unit[3:6], unit[6:], 0.04, 0.1)
    >>> tuple(result.loss.shape)
    (3,)
    """
    # The softmaxes span hundreds of nats at these temperatures: always float32.
    differentiable_query = ops.cast(query, "float32")
    query = ops.stop_gradient(differentiable_query)
    key = ops.stop_gradient(ops.cast(key, "float32"))
    anchors = ops.stop_gradient(ops.convert_to_tensor(anchors))
    size = anchors.shape[0]
    if block_size is None:
        block_size = BLOCK_SIZE if size > STREAM_ABOVE else size

    # Dividing the (B, D) arrays by the temperature saves a pass over (B, K).
    own = key if own_key_anchor else None
    sums = (key / teacher_temperature, query / student_temperature, anchors, num_nearest, own)
    value, gradient, negative_entropy, nearest = (
        _dense_distillation(*sums, queries_per_key)
        if block_size >= size
        else _streamed_distillation(*sums, queries_per_key, block_size)
    )
    return Distillation(
        loss=with_gradient(value, differentiable_query, gradient / student_temperature),
        teacher_entropy=-negative_entropy,
        nearest=nearest if num_nearest else None,
    )


def _streamed_distillation(key, query, anchors, num_nearest, own, n, block_size):
    """Like `streamed_distillation`, with n queries of each key, which is repeated for them."""
    key, own = (x if x is None or n == 1 else ops.repeat(x, n, axis=0) for x in (key, own))
    value, gradient, negative_entropy, nearest = streamed_distillation(
        key, query, anchors, num_nearest, own, block_size
    )
    return value, gradient, negative_entropy[::n], nearest[::n]


def _dense_distillation(key, query, anchors, num_nearest, own, n):
    """Like `_streamed_distillation`, from whole batch x queue matrices: each key's is made once."""

    def of_queries(rows):  # of keys
        return rows if n == 1 else ops.repeat(rows, n, axis=0)

    anchors = ops.cast(anchors, "float32")
    teacher_logits = ops.matmul(key, ops.transpose(anchors))
    student_logits = ops.matmul(query, ops.transpose(anchors))
    nearest = ops.top_k(teacher_logits, num_nearest)[1] if num_nearest else None
    if own is not None:
        teacher_logits = append_own_key(teacher_logits, key, own)
        own = of_queries(own)
        student_logits = append_own_key(student_logits, query, own)
    teacher_log_p = ops.log_softmax(teacher_logits, axis=-1)
    student_log_p = ops.log_softmax(student_logits, axis=-1)
    teacher_p = exp_of_log(teacher_log_p)

    negative_entropy = ops.sum(teacher_p * teacher_log_p, axis=-1)
    target = of_queries(teacher_p)
    value = of_queries(negative_entropy) - ops.sum(target * student_log_p, axis=-1)
    difference = exp_of_log(student_log_p) - target
    if own is None:
        gradient = ops.matmul(difference, anchors)
    else:
        gradient = ops.matmul(difference[:, :-1], anchors) + difference[:, -1:] * own
    return value, gradient, negative_entropy, nearest
