"""Approximate nearest neighbours, for sets of a million images."""

import pathlib

import numpy as np
from absl import logging

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.files import atomic_path
from keras_isd.similarity.exact import unit_rows

MIN_ROWS_PER_CELL = 39  # faiss expects as many for k-means
MIN_PROBED_CELLS = 16  # cells to search for each query; in a large bank 1 / 16 of all cells
COMPARED_ROWS = 2**16  # of an index and a bank at a time


def approximate_rows(bank, queries, k, file=None):
    """Finds most of the `k` nearest rows of each query with faiss, which searches a few cells only.

    k-means divides the bank into cells, and each query is compared with the rows of its nearest
    cells. The result is deterministic. See `nearest_rows` of `keras_isd.evaluation` for the exact
    search.

    Args:
        bank, queries: `(N, F)` and `(M, F)` arrays.
        k: int in [1, N].
        file: path of a file that keeps the index of the bank, or None. Defaults to None.

    Returns:
        Pair of `(M, k)` arrays: rows of the bank, int64, and similarities, float32.

    Raises:
        ImportError: if faiss is not installed.

    Source: Douze et al., "The faiss library", 2024.
    """
    with needs_extra("faiss"):
        import faiss  # noqa: F401

    index = _load_index(unit_rows(bank), file)
    similarities, rows = index.search(unit_rows(queries), k)
    # If the searched cells hold fewer than `k` rows, search all cells.
    few = np.flatnonzero((rows < 0).any(axis=1))
    if len(few):
        index.nprobe = index.nlist
        similarities[few], rows[few] = index.search(unit_rows(queries[few]), k)
    return rows, similarities


def _load_index(unit, file):
    """The index of unit vectors from a file; built, and written to the file, if it is of others."""
    import faiss

    path = None if file is None else pathlib.Path(file).expanduser()
    if path is not None and path.is_file():
        index = faiss.read_index(str(path))
        if _holds(index, unit):
            return index
        logging.warning("%s is the index of other features, and is built anew", path)
    index = _build_index(unit)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as unfinished:
            faiss.write_index(index, str(unfinished))
    return index


def _build_index(unit):
    import faiss

    cells = max(1, min(int(4 * np.sqrt(len(unit))), len(unit) // MIN_ROWS_PER_CELL))
    quantizer = faiss.IndexFlatIP(unit.shape[1])
    index = faiss.IndexIVFFlat(quantizer, unit.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.train(unit)
    index.add(unit)
    index.nprobe = min(cells, max(MIN_PROBED_CELLS, cells // MIN_PROBED_CELLS))
    return index


def _holds(index, unit):
    """Whether an index is of exactly these vectors."""
    import faiss

    if not isinstance(index, faiss.IndexIVFFlat) or (index.ntotal, index.d) != unit.shape:
        return False
    index.make_direct_map()
    starts = range(0, len(unit), COMPARED_ROWS)
    counts = (min(COMPARED_ROWS, len(unit) - start) for start in starts)
    return all(
        np.array_equal(index.reconstruct_n(start, count), unit[start : start + count])
        for start, count in zip(starts, counts)
    )
