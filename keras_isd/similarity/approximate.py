"""The images that are most alike, nearly always the right ones, for sets of a million."""

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.similarity.exact import unit_rows

ROWS = 39  # of a cell, which faiss wants for k-means
SHARE = 16  # of the cells one in so many is looked into, and at least so many


def approximate_rows(bank, queries, k):
    """As `nearest_rows` of `keras_isd.evaluation`, but by faiss, which looks into some cells alone.

    The bank is put into cells around the means of k-means; the rows of a query's nearest cells are
    compared with it. Nothing is left to chance: the same arrays have the same neighbours.

    Args:
        bank, queries: `(N, F)` and `(M, F)` arrays.
        k: int in [1, N].

    Returns:
        Pair of `(M, k)` arrays: rows of the bank, int64, and similarities, float32.

    Source: Douze et al., "The faiss library", 2024.
    """
    with needs_extra("faiss"):
        import faiss

    unit = unit_rows(bank)
    cells = max(1, min(int(4 * np.sqrt(len(unit))), len(unit) // ROWS))
    of_cells = faiss.IndexFlatIP(unit.shape[1])
    index = faiss.IndexIVFFlat(of_cells, unit.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.train(unit)
    index.add(unit)
    index.nprobe = min(cells, max(SHARE, cells // SHARE))
    similarities, rows = index.search(unit_rows(queries), k)
    # Where the cells hold fewer rows than are asked for, all cells are looked into.
    few = np.flatnonzero((rows < 0).any(axis=1))
    if len(few):
        index.nprobe = cells
        similarities[few], rows[few] = index.search(unit_rows(queries[few]), k)
    return rows, similarities
