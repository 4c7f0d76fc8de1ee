"""Approximate nearest neighbours, for sets of a million images."""

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.similarity.exact import unit_rows

MIN_ROWS_PER_CELL = 39  # faiss expects as many for k-means
MIN_PROBED_CELLS = 16  # cells to search for each query; in a large bank 1 / 16 of all cells


def approximate_rows(bank, queries, k):
    """Finds most of the `k` nearest rows of each query with faiss, which searches a few cells only.

    k-means divides the bank into cells, and each query is compared with the rows of its nearest
    cells. The result is deterministic. See `nearest_rows` of `keras_isd.evaluation` for the exact
    search.

    Args:
        bank, queries: `(N, F)` and `(M, F)` arrays.
        k: int in [1, N].

    Returns:
        Pair of `(M, k)` arrays: rows of the bank, int64, and similarities, float32.

    Raises:
        ImportError: if faiss is not installed.

    Source: Douze et al., "The faiss library", 2024.
    """
    with needs_extra("faiss"):
        import faiss

    unit = unit_rows(bank)
    cells = max(1, min(int(4 * np.sqrt(len(unit))), len(unit) // MIN_ROWS_PER_CELL))
    quantizer = faiss.IndexFlatIP(unit.shape[1])
    index = faiss.IndexIVFFlat(quantizer, unit.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.train(unit)
    index.add(unit)
    index.nprobe = min(cells, max(MIN_PROBED_CELLS, cells // MIN_PROBED_CELLS))
    similarities, rows = index.search(unit_rows(queries), k)
    # If the searched cells hold fewer than `k` rows, search all cells.
    few = np.flatnonzero((rows < 0).any(axis=1))
    if len(few):
        index.nprobe = cells
        similarities[few], rows[few] = index.search(unit_rows(queries[few]), k)
    return rows, similarities
