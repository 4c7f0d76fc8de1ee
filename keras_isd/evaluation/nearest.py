"""The nearest rows of a bank, exact, by cosine similarity, in bounded memory."""

import numpy as np
from keras import ops

# As an int64 a similarity and the row that it is of sort together: by similarity, then the first
# row first. So ties are settled the same way on every backend and in every order of blocks.
_ROW_BITS = 32


def nearest_rows(bank, queries, k, max_bytes=2**28):
    """Finds the `k` rows of a bank that are most similar to each query, by cosine.

    Similarities are computed by the backend, on a GPU if there is one, a block of queries by a
    block of the bank at a time. Of a block only those groups of rows are looked into whose best
    are among the `k` best, so that little is left to sort. The result is exact, to the rounding
    of float32; of equally similar rows the first in the bank comes first.

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
    group = max(1, int(np.sqrt(len(bank) / k)))
    best = np.zeros((len(queries), 0), "int64")
    for place, width in _blocks(*bank.shape, group, max_bytes):
        block = _best_of_block(bank, place, queries, k, width, max_bytes)
        best = _largest(np.concatenate([best, block], axis=1), k)
    best = -np.sort(-best, axis=1)
    return _rows(best), _similarities(best)


def _blocks(count, dim, group, max_bytes):
    """Yields (first, end) of blocks of the bank, of whole groups and of what is left of one."""
    rows = max(1, max_bytes // 4 // (4 * dim) // group) * group
    whole = count // group * group
    for first in range(0, whole, rows):
        yield (first, min(first + rows, whole)), group
    if whole < count:
        yield (whole, count), 1


def _best_of_block(bank, place, queries, k, group, max_bytes):
    """Keys `(M, n)` of the rows of a block of the bank that may be among the `k` nearest."""
    first, end = place
    block = ops.transpose(ops.convert_to_tensor(unit_rows(bank[first:end])))
    count = max(1, max_bytes // 2 // (4 * (end - first)))
    found = []
    for start in range(0, len(queries), count):
        some = ops.convert_to_tensor(unit_rows(queries[start : start + count]))
        similarity = ops.matmul(some, block)
        rows = np.broadcast_to(np.arange(end - first), similarity.shape)
        if group > 1 and k * group < end - first:
            groups = ops.max(ops.reshape(similarity, (len(some), -1, group)), axis=-1)
            groups = ops.convert_to_numpy(groups)
            numbers = np.broadcast_to(np.arange(groups.shape[1]), groups.shape)
            # Every row that is among the k best is in one of the k groups with the best rows: a
            # group left out has k rows above its best, or as good and before it.
            chosen = np.sort(_rows(_largest(_keys(groups, numbers), k)), axis=1)
            rows = (chosen[:, :, None] * group + np.arange(group)).reshape(len(some), -1)
            indices = ops.convert_to_tensor(rows.astype("int32"))
            similarity = ops.take_along_axis(similarity, indices, axis=1)
        found.append(_largest(_keys(ops.convert_to_numpy(similarity), rows + first), k))
    return np.concatenate(found)


def unit_rows(x):
    """Rows of an array, float32, divided by their length; a row of zeros stays so."""
    x = np.asarray(x, "float32")
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _keys(similarities, rows):
    """int64 that order by similarity, and where these are equal by row, the first one largest."""
    bits = (similarities.astype("float32") + np.float32(0)).view("int32").astype("int64")  # no -0
    # Negative floats order backwards by their bits.
    ordered = np.where(bits < 0, -(2**31) - bits, bits)
    return (ordered << _ROW_BITS) | (2**_ROW_BITS - 1 - rows)


def _rows(keys):
    return 2**_ROW_BITS - 1 - (keys & (2**_ROW_BITS - 1))


def _similarities(keys):
    ordered = keys >> _ROW_BITS
    return np.where(ordered < 0, -(2**31) - ordered, ordered).astype("int32").view("float32")


def _largest(keys, k):
    """The `k` largest of each row, in any order, or all if there are fewer."""
    if keys.shape[1] <= k:
        return keys
    return np.partition(keys, keys.shape[1] - k, axis=1)[:, -k:]
