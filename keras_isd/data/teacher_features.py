"""A teacher's features of all images, read by row from an array or a file."""

import mmap
import os
from typing import Any

import numpy as np

BLOCK_ROWS = 1_000  # rows that are checked together


class TeacherFeatures:
    """Features `(N, D)` whose rows are read on demand.

    Args:
        features: `(N, D)` array of floats, or the path of a `.npy` file. From a file, or from a
            memory map of a whole file, only the requested rows are read into memory, and they are
            released after use.
        count: int, the expected N; None if it is unknown. Defaults to None.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if features are not floats of shape `(count, D)`, or not finite.
    """

    def __init__(self, features, count=None):
        if isinstance(features, (str, os.PathLike)):
            features = np.load(features, mmap_mode="r")
        array = np.asanyarray(features)
        if array.ndim != 2 or array.dtype.kind != "f" or count not in (None, len(array)):
            raise ValueError(
                "Argument `teacher_features` must be floats of shape "
                f"({'images' if count is None else count}, features), one row for each image. "
                f"Received: shape {array.shape}, {array.dtype}"
            )
        # Pages read through a memory map, and many around them, would count as the process' memory.
        is_mapped = isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)
        is_file = is_mapped and array.filename and array.mode != "c" and array.flags.c_contiguous
        self._file = (array.filename, array.offset, array.dtype) if is_file else None
        self._array: Any = None if is_file else array
        self.count, self.dim = array.shape
        self._check_finite()

    def _check_finite(self):
        wrong = []
        for start in range(0, self.count, BLOCK_ROWS):
            rows = self.rows(np.arange(start, min(start + BLOCK_ROWS, self.count)))
            wrong += (start + np.flatnonzero(~np.isfinite(rows).all(axis=1))).tolist()
        if wrong:
            raise ValueError(
                "Argument `teacher_features` must be finite. Received: "
                f"{len(wrong)} of {self.count} rows with NaN or infinity, such as row {wrong[0]}"
            )

    def rows(self, rows):
        """Reads the features of rows `(B,)`, or of a single row: `(B, D)` or `(D,)` float32."""
        rows = np.asarray(rows)
        if rows.size and rows.max() >= self.count:
            raise IndexError(
                f"Argument `rows` must be in [0, {self.count}), the number of images that have "
                f"features. Received: row {rows.max()}"
            )
        if self._file is None:
            return np.asarray(self._array[rows], "float32")
        path, offset, dtype = self._file
        features = np.empty((*rows.shape, self.dim), dtype)
        with open(path, "rb", buffering=0) as file:
            for row, values in zip(rows.flat, features.reshape(-1, self.dim), strict=True):
                file.seek(offset + int(row) * values.nbytes)
                if file.readinto(values.data) != values.nbytes:
                    raise OSError(f"{path} was shortened: it no longer contains row {row}")
        return features.astype("float32", copy=False)
