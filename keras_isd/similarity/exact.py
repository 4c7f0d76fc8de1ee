"""The nearest rows of a bank, exact, by cosine similarity, in bounded memory."""

import numpy as np
from keras import ops

# How far apart two similarities must be for float32 to tell them, and how many more than are asked
# for are looked at to settle the others.
_CLOSE = 2e-6
_SPARE = 8


def nearest_rows(bank, queries, k, max_bytes=2**28):
    """Finds the `k` rows of a bank that are most similar to each query, by cosine.

    Similarities are computed by the backend, on a GPU if there is one, a block of queries by a
    block of the bank at a time. Of a block only those groups of rows are looked into whose best
    are among the `k` best, so that little is left to sort. Where float32 hardly tells the last
    that is taken from the next, float64 decides. Of equally similar rows the first in the bank
    comes first.

    Args:
        bank: `(N, F)` array.
        queries: `(M, F)` array.
        k: int in [1, N].
        max_bytes: int, memory for similarities and for the block of the bank, about.

    Returns:
        Pair of `(M, k)` arrays: rows of the bank, int64, the most similar first, and their
        similarities, float32, in [-1, 1].

    Example:

    >>> rows, similarities = nearest_rows(np.eye(3), np.array([[0.1, 0.9, 0.2]]), k=2)
    >>> rows
    array([[1, 2]])
    """
    bank, queries = np.asarray(bank), np.asarray(queries)
    rows, similarities = _nearest(bank, queries, min(k + 1, len(bank)), max_bytes)
    if k < len(bank):
        close = np.flatnonzero(similarities[:, k - 1] - similarities[:, k] < _CLOSE)
        if len(close):
            rows[close], similarities[close] = _in_double_precision(
                bank, queries[close], k + 1, max_bytes
            )
    return rows[:, :k], similarities[:, :k]


def _nearest(bank, queries, k, max_bytes):
    """The nearest rows of the bank and their similarities, as float32 tells them."""
    group = max(1, int(np.sqrt(len(bank) / k)))
    rows, similarities = (np.zeros((len(queries), 0), dtype) for dtype in ("int64", "float32"))
    for place, width in _blocks(len(bank), bank.shape[1], group, max_bytes):
        found = _best_of_block(bank, place, queries, k, width, max_bytes)
        rows = np.concatenate([rows, found[0]], axis=1)
        similarities = np.concatenate([similarities, found[1]], axis=1)
        rows, similarities = _columns((rows, similarities), _largest(similarities, k))
    order = np.argsort(-similarities, axis=1, kind="stable")
    return _columns((rows, similarities), order)


def _in_double_precision(bank, queries, k, max_bytes):
    """The nearest rows, of some more that float32 finds, as float64 tells them."""
    size = min(k + _SPARE, len(bank))
    rows = np.sort(_nearest(bank, queries, size, max_bytes)[0], axis=1)
    count = max(1, max_bytes // 16 // (8 * size * bank.shape[1]))
    found = []
    for start in range(0, len(queries), count):
        part = slice(start, start + count)
        keys = unit_rows(bank[rows[part].ravel()], "float64").reshape(-1, size, bank.shape[1])
        exact = np.einsum("mnf,mf->mn", keys, unit_rows(queries[part], "float64"))
        order = np.argsort(-exact, axis=1, kind="stable")[:, :k]
        found.append(_columns((rows[part], exact), order))
    return tuple(map(np.concatenate, zip(*found)))


def _blocks(count, dim, group, max_bytes):
    """Yields (first, end) of blocks of the bank, of whole groups and of what is left of one."""
    rows = max(1, max_bytes // 4 // (4 * dim) // group) * group
    whole = count // group * group
    for first in range(0, whole, rows):
        yield (first, min(first + rows, whole)), group
    if whole < count:
        yield (whole, count), 1


def _best_of_block(bank, place, queries, k, group, max_bytes):
    """Rows of a block of the bank that are the nearest, in their order, and their similarities."""
    first, end = place
    block = ops.transpose(ops.convert_to_tensor(unit_rows(bank[first:end])))
    count = max(1, max_bytes // 2 // (4 * (end - first)))
    found = []
    for start in range(0, len(queries), count):
        some = ops.convert_to_tensor(unit_rows(queries[start : start + count]))
        similarities = ops.matmul(some, block)
        if group > 1 and k * group < end - first:
            rows, similarities = _of_best_groups(similarities, k, group)
        else:
            similarities = ops.convert_to_numpy(similarities)
            rows = np.broadcast_to(np.arange(end - first), similarities.shape)
        found.append(_columns((rows, similarities), _largest(similarities, k)))
    rows, similarities = map(np.concatenate, zip(*found))
    return rows + first, similarities


def _of_best_groups(similarities, k, group):
    """Columns `(M, k * group)` of the `k` groups of each row with the best, and what they hold.

    Every column that is among the k best is in one of them: a group that is left out has k columns
    above its best, or as good and before it.
    """
    count = similarities.shape[0]
    similarities = ops.reshape(similarities, (-1, group))  # once: for JAX it is a copy
    best = ops.convert_to_numpy(ops.max(similarities, axis=-1)).reshape(count, -1)
    chosen = _largest(best, k)
    flat = (np.arange(count)[:, None] * best.shape[1] + chosen).ravel().astype("int32")
    similarities = ops.take(similarities, flat, axis=0)
    columns = chosen[:, :, None] * group + np.arange(group)
    return columns.reshape(count, -1), ops.convert_to_numpy(similarities).reshape(count, -1)


def _largest(values, k):
    """Columns `(M, k)` of the largest of each row, of equal ones the first, in ascending order."""
    size = values.shape[1]
    if size <= k:
        return np.broadcast_to(np.arange(size), values.shape)
    columns = np.argpartition(values, size - k, axis=1)[:, size - k :]
    chosen = np.take_along_axis(values, columns, axis=1)
    least = chosen.min(axis=1, keepdims=True)
    tied = (values == least).sum(axis=1) > (chosen == least).sum(axis=1)
    columns[tied] = np.argsort(-values[tied], axis=1, kind="stable")[:, :k]
    return np.sort(columns, axis=1)


def _columns(arrays, columns):
    return tuple(np.take_along_axis(array, columns, axis=1) for array in arrays)


def unit_rows(x, dtype="float32"):
    """Rows of an array divided by their length; a row of zeros stays so."""
    x = np.asarray(x, dtype)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
