"""Similarity distillation over a queue that is read once, block by block.

The batch x queue matrix limits the size of a queue: for 256 queries and a million anchors it takes
one gigabyte, and the dense form holds several. Here only one block of it exists at a time.
Softmaxes, entropy, divergence and the gradient are all sums over the anchors with weights
`exp(logit)`, which are kept relative to the largest logit so far.

Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.
"""

from typing import Any, NamedTuple

from keras import ops

# exp(-70) is 4e-31, too small to change a float32 sum with a weight of 1. Smaller weights become
# denormal, which PyTorch keeps and which make a CPU's matrix products several times slower.
MIN_LOG = -70.0


def exp_of_log(log_weights):
    """Exponentials of log weights whose largest is about 0, none of them denormal."""
    return ops.exp(ops.maximum(log_weights, MIN_LOG))


class Sums(NamedTuple):
    """Sums over the anchors so far for B keys and then B queries, relative to their `peak`.

    For the logits z of a row and weights `w = exp(z - peak)`:

    Attributes:
        peak: `(2 B,)`, the largest z.
        weight: `(2 B,)`, sum of w.
        anchor: `(2 B, D)`, sum of w times the anchor.
        teacher: `(B,)`, sum of the key's w times its own (z - peak).
        student: `(B,)`, sum of the key's w times the query's (z - peak).
        best: `(B, n)`, the n largest logits of each key, and `nearest`, `(B, n)`, their rows.
    """

    peak: Any
    weight: Any
    anchor: Any
    teacher: Any
    student: Any
    best: Any
    nearest: Any


def streamed_distillation(key, query, anchors, num_nearest, own, block_size):
    """Computes the Kullback-Leibler divergence of queries from keys, and its gradient.

    Args:
        key: `(B, D)` float32, divided by the teacher's temperature.
        query: `(B, D)` float32, divided by the student's temperature.
        anchors: `(K, D)`, any floating type; each block is cast to float32.
        num_nearest: int, number of each key's nearest anchors to return.
        own: `(B, D)` float32, an additional anchor for each pair, never among the nearest; or None.
        block_size: int, anchors at a time.

    Returns:
        Divergence `(B,)`; its gradient `(B, D)` for `query` as given here; the keys' negative
        entropy `(B,)`; and the rows of their nearest anchors `(B, num_nearest)`.
    """
    rows = ops.concatenate([key, query])
    size, dim = anchors.shape

    def add(start, length, sums):
        block = ops.cast(ops.slice(anchors, (start, 0), (length, dim)), "float32")
        return _add_block(sums, rows, block, start)

    blocks, rest = divmod(size, block_size)
    sums = ops.fori_loop(
        0,
        blocks,
        lambda i, sums: add(i * block_size, block_size, sums),
        _nothing(rows, num_nearest) if own is None else _own_anchor(rows, own, num_nearest),
    )
    if rest:
        sums = add(blocks * block_size, rest, sums)

    teacher_weight, student_weight = ops.split(sums.weight, 2)
    negative_entropy = sums.teacher / teacher_weight - ops.log(teacher_weight)
    cross = sums.student / teacher_weight - ops.log(student_weight)
    teacher_mean, student_mean = ops.split(sums.anchor / sums.weight[:, None], 2)
    return negative_entropy - cross, student_mean - teacher_mean, negative_entropy, sums.nearest


def _nothing(rows, num_nearest):
    """The sums before the first block; their peak is low but finite, so that it cancels."""
    zero = 0.0 * rows[:, 0]
    key_zero = ops.split(zero, 2)[0]
    none = ops.zeros((num_nearest,)) + key_zero[:, None]
    return Sums(
        peak=zero - 1e30,
        weight=zero,
        anchor=0.0 * rows,
        teacher=key_zero,
        student=key_zero,
        best=none - 1e30,
        nearest=ops.cast(none, "int32"),
    )


def _own_anchor(rows, own, num_nearest):
    """The sums over each pair's own anchor alone: it is the peak, with a weight of 1."""
    own = ops.concatenate([own, own])
    peak = ops.sum(rows * own, axis=-1)
    return _nothing(rows, num_nearest)._replace(peak=peak, weight=1.0 + 0.0 * peak, anchor=own)


def _add_block(sums, rows, block, start):
    logits = ops.matmul(rows, ops.transpose(block))
    peak = ops.maximum(sums.peak, ops.max(logits, axis=-1))
    fade = ops.exp(sums.peak - peak)  # rescales earlier weights
    below_peak = logits - peak[:, None]
    weights = exp_of_log(below_peak)

    key_below, query_below = ops.split(below_peak, 2)
    key_weights = ops.split(weights, 2)[0]
    key_fade = ops.split(fade, 2)[0]
    # If the peak rises by d, each earlier (z - peak) falls by d; before the first block there are
    # no weights to multiply it with.
    key_rise, query_rise = ops.split(ops.where(sums.weight > 0, peak - sums.peak, 0.0), 2)
    key_weight = ops.split(sums.weight, 2)[0]
    return Sums(
        peak=peak,
        weight=sums.weight * fade + ops.sum(weights, axis=-1),
        anchor=sums.anchor * fade[:, None] + ops.matmul(weights, block),
        teacher=(sums.teacher - key_weight * key_rise) * key_fade
        + ops.sum(key_weights * key_below, axis=-1),
        student=(sums.student - key_weight * query_rise) * key_fade
        + ops.sum(key_weights * query_below, axis=-1),
        **_nearest(sums, ops.split(logits, 2)[0], start),
    )


def _nearest(sums, logits, start):
    """The largest logits so far and their rows, with those of this block."""
    count = sums.best.shape[-1]
    if count == 0:
        return {"best": sums.best, "nearest": sums.nearest}
    logits, places = ops.top_k(logits, min(count, logits.shape[-1]))
    best = ops.concatenate([sums.best, logits], axis=-1)
    nearest = ops.concatenate([sums.nearest, ops.cast(places, "int32") + start], axis=-1)
    best, chosen = ops.top_k(best, count)
    return {"best": best, "nearest": ops.take_along_axis(nearest, chosen, axis=-1)}
