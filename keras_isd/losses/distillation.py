"""Similarity distillation: the loss of ISD (Tejankar et al., ICCV 2021, section 3)."""

from typing import Any, NamedTuple

from keras import ops

from keras_isd.compat.float32 import in_float32
from keras_isd.losses.closed_gradient import append_own_key, with_gradient
from keras_isd.losses.streaming import exp_of_log, streamed_distillation

# Where the queue is larger it is read in blocks, of the size that is quickest (see
# `benchmarks/queue_scaling.py`): a block's similarities stay in a cache.
STREAM_ABOVE = 32_768
BLOCK_SIZE = 2_048


class Distillation(NamedTuple):
    """What one batch of queries learns from the teacher.

    Attributes:
        loss: `(B,)` float32, KL(teacher || student) of each query, in nats.
            Only this field carries a gradient, and only to the queries.
        teacher_entropy: `(B,)` float32, entropy of the teacher's distribution
            over the anchors, in nats: 0 where it points at one anchor, `log(K)`
            where it sees no difference between them.
        nearest: `(B, n)` int32, rows of the anchors that the teacher finds most
            similar, most similar first.
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
):
    """Trains queries to see the anchors as the teacher's keys see them.

    The similarities of a key to all anchors, sharpened by the teacher's
    temperature, are a soft target; the similarities of its query to the same
    anchors make the student's distribution; the loss is the KL divergence
    between the two. No anchor is a plain negative: what resembles the key is to
    resemble the query.

    The gradient with respect to the queries is known in closed form,
    `(p_student - p_teacher) @ anchors / student_temperature`, and is passed on
    as such. It equals what automatic differentiation gives, on every backend,
    and nothing of size batch x anchors has to be kept for the backward pass.

    Args:
        query: `(B, D)`, the student's embeddings, unit rows.
        key: `(B, D)`, the teacher's embeddings of the other views, unit rows.
        anchors: `(K, D)`, unit rows, float32 or bfloat16. No gradient reaches them, nor the keys.
        teacher_temperature: float > 0. Small values sharpen the target.
        student_temperature: float > 0.
        num_nearest: int, how many of each key's nearest anchors to report.
        block_size: int, how many anchors to compare with at a time. Below K no array of the size
            batch x queue is made. None: all of a queue of up to 32,768, blocks of a larger one.
        own_key_anchor: bool, whether the key of each query is an anchor too, for this query alone.

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
    # The softmaxes span hundreds of nats at these temperatures: float32, whatever computed q and k.
    differentiable_query = ops.cast(query, "float32")
    query = ops.stop_gradient(differentiable_query)
    key = ops.stop_gradient(ops.cast(key, "float32"))
    anchors = ops.stop_gradient(ops.convert_to_tensor(anchors))
    size = anchors.shape[0]
    if block_size is None:
        block_size = BLOCK_SIZE if size > STREAM_ABOVE else size

    # Dividing the (B, D) side by the temperature spares a pass over (B, K).
    own = key if own_key_anchor else None
    sums = (key / teacher_temperature, query / student_temperature, anchors, num_nearest, own)
    value, gradient, negative_entropy, nearest = (
        _dense_distillation(*sums)
        if block_size >= size
        else streamed_distillation(*sums, block_size)
    )
    return Distillation(
        loss=with_gradient(value, differentiable_query, gradient / student_temperature),
        teacher_entropy=-negative_entropy,
        nearest=nearest if num_nearest else None,
    )


def _dense_distillation(key, query, anchors, num_nearest, own):
    """What `streamed_distillation` gives, of whole batch x queue matrices: the dense form."""
    anchors = ops.cast(anchors, "float32")
    teacher_logits = ops.matmul(key, ops.transpose(anchors))
    student_logits = ops.matmul(query, ops.transpose(anchors))
    nearest = ops.top_k(teacher_logits, num_nearest)[1] if num_nearest else None
    if own is not None:
        teacher_logits = append_own_key(teacher_logits, key, own)
        student_logits = append_own_key(student_logits, query, own)
    teacher_log_p = ops.log_softmax(teacher_logits, axis=-1)
    student_log_p = ops.log_softmax(student_logits, axis=-1)
    teacher_p = exp_of_log(teacher_log_p)

    negative_entropy = ops.sum(teacher_p * teacher_log_p, axis=-1)
    value = negative_entropy - ops.sum(teacher_p * student_log_p, axis=-1)
    difference = exp_of_log(student_log_p) - teacher_p
    if own is None:
        gradient = ops.matmul(difference, anchors)
    else:
        gradient = ops.matmul(difference[:, :-1], anchors) + difference[:, -1:] * own
    return value, gradient, negative_entropy, nearest
