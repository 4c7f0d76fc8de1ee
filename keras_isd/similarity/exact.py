"""Exact nearest neighbours by cosine similarity, in bounded memory."""

import numpy as np
from keras import ops

# Similarities that differ by less may be in the wrong order in float32. Float64 then orders the
# nearest rows and some spare ones anew.
_MIN_DIFFERENCE = 2e-6
_SPARE_ROWS = 8


def nearest_rows(bank, queries, k, max_bytes=2**28):
    """Finds the `k` rows of a bank that are most similar to each query, by cosine.

    The backend computes the similarities, on a GPU if one is available, for one block of queries
    and one block of the bank at a time. Within a block only the groups of rows with the `k` largest
    maxima are searched, which leaves little to sort. If float32 cannot separate the last chosen row
    from the next one, float64 decides. Equally similar rows keep the bank's order.

    Args:
        bank: `(N, F)` array.
        queries: `(M, F)` array.
        k: int in [1, N].
        max_bytes: int, approximate memory in bytes for similarities and for a block of the bank.
            Defaults to 2**28.

    Returns:
        Pair of `(M, k)` arrays: rows of the bank, int64, the most similar first, and their
        similarities, float32, in [-1, 1].

    Example:

    >>> rows, similarities = nearest_rows(np.eye(3), np.array([[0.1, 0.9, 0.2]]), k=2)
    >>> rows
    array([[1, 2]])
    """
    bank, queries = np.asarray(bank), np.asarray(queries)
    rows, similarities = _search_in_float32(bank, queries, min(k + 1, len(bank)), max_bytes)
    if k < len(bank):
        close = np.flatnonzero(similarities[:, k - 1] - similarities[:, k] < _MIN_DIFFERENCE)
        if len(close):
            rows[close], similarities[close] = _search_in_float64(
                bank, queries[close], k + 1, max_bytes
            )
    return rows[:, :k], similarities[:, :k]


def _search_in_float32(bank, queries, k, max_bytes):
    """Finds the `k` nearest rows of the bank and their similarities, computed in float32."""
    group = max(1, int(np.sqrt(len(bank) / k)))
    rows, similarities = (np.zeros((len(queries), 0), dtype) for dtype in ("int64", "float32"))
    for limits, width in _blocks(len(bank), bank.shape[1], group, max_bytes):
        block_rows, block_similarities = _search_block(bank, limits, queries, k, width, max_bytes)
        rows = np.concatenate([rows, block_rows], axis=1)
        similarities = np.concatenate([similarities, block_similarities], axis=1)
        rows, similarities = _take_columns((rows, similarities), _largest_columns(similarities, k))
    order = np.argsort(-similarities, axis=1, kind="stable")
    return _take_columns((rows, similarities), order)


def _search_in_float64(bank, queries, k, max_bytes):
    """Orders the nearest rows of float32 and some spare ones by float64; returns the first `k`."""
    size = min(k + _SPARE_ROWS, len(bank))
    rows = np.sort(_search_in_float32(bank, queries, size, max_bytes)[0], axis=1)
    count = max(1, max_bytes // 16 // (8 * size * bank.shape[1]))
    results = []
    for start in range(0, len(queries), count):
        part = slice(start, start + count)
        keys = unit_rows(bank[rows[part].ravel()], "float64").reshape(-1, size, bank.shape[1])
        exact = np.einsum("mnf,mf->mn", keys, unit_rows(queries[part], "float64"))
        order = np.argsort(-exact, axis=1, kind="stable")[:, :k]
        results.append(_take_columns((rows[part], exact), order))
    return tuple(map(np.concatenate, zip(*results)))


def _blocks(count, dim, group, max_bytes):
    """Yields ((first, end), group size) of blocks of whole groups, then of the remaining rows."""
    rows = max(1, max_bytes // 4 // (4 * dim) // group) * group
    whole = count // group * group
    for first in range(0, whole, rows):
        yield (first, min(first + rows, whole)), group
    if whole < count:
        yield (whole, count), 1


def _search_block(bank, limits, queries, k, group, max_bytes):
    """Finds the nearest rows within a block of the bank, in ascending order, with similarities."""
    first, end = limits
    block = ops.transpose(ops.convert_to_tensor(unit_rows(bank[first:end])))
    count = max(1, max_bytes // 2 // (4 * (end - first)))
    results = []
    for start in range(0, len(queries), count):
        part = ops.convert_to_tensor(unit_rows(queries[start : start + count]))
        similarities = ops.matmul(part, block)
        if group > 1 and k * group < end - first:
            rows, similarities = _take_best_groups(similarities, k, group)
        else:
            similarities = ops.convert_to_numpy(similarities)
            rows = np.broadcast_to(np.arange(end - first), similarities.shape)
        results.append(_take_columns((rows, similarities), _largest_columns(similarities, k)))
    rows, similarities = map(np.concatenate, zip(*results))
    return rows + first, similarities


def _take_best_groups(similarities, k, group):
    """Takes the columns of the `k` groups with the largest maxima of each row.

    They include the k largest columns: each of the k chosen groups has a column that is larger than
    every column of an omitted group, or equal and before it.

    Returns:
        Pair of `(M, k * group)` arrays: columns and similarities.
    """
    count = similarities.shape[0]
    similarities = ops.reshape(similarities, (-1, group))  # once: for JAX it is a copy
    best = ops.convert_to_numpy(ops.max(similarities, axis=-1)).reshape(count, -1)
    chosen = _largest_columns(best, k)
    flat = (np.arange(count)[:, None] * best.shape[1] + chosen).ravel().astype("int32")
    similarities = ops.take(similarities, flat, axis=0)
    columns = chosen[:, :, None] * group + np.arange(group)
    return columns.reshape(count, -1), ops.convert_to_numpy(similarities).reshape(count, -1)


def _largest_columns(values, k):
    """Finds the columns `(M, k)` of each row's largest values, ascending; the first of equals."""
    size = values.shape[1]
    if size <= k:
        return np.broadcast_to(np.arange(size), values.shape)
    columns = np.argpartition(values, size - k, axis=1)[:, size - k :]
    chosen = np.take_along_axis(values, columns, axis=1)
    least = chosen.min(axis=1, keepdims=True)
    tied = (values == least).sum(axis=1) > (chosen == least).sum(axis=1)
    columns[tied] = np.argsort(-values[tied], axis=1, kind="stable")[:, :k]
    return np.sort(columns, axis=1)


def _take_columns(arrays, columns):
    return tuple(np.take_along_axis(array, columns, axis=1) for array in arrays)


def unit_rows(x, dtype="float32"):
    """Divides each row of an array by its length; rows of zeros stay zero."""
    x = np.asarray(x, dtype)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
