"""Features that a teacher has of all images, by row: in an array, or in a file."""

import mmap
import os
from typing import Any

import numpy as np

BLOCK = 1_000  # rows that are looked at together


class TeacherFeatures:
    """Rows of features `(N, D)`, read when they are asked for.

    Args:
        features: `(N, D)` array of floats, or the path of a `.npy` file of one. Of a file, or of
            one that is mapped into memory whole, only the rows that are asked for are in memory,
            and no longer than they are used.
        count: int, N, the number of images that they must be of, or None if it is not known.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if they are not of shape `(count, D)` or not floats, or some are not finite.
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
        # What is read through a map counts as the process' memory, with much around it.
        mapped = isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)
        in_file = mapped and array.filename and array.mode != "c" and array.flags.c_contiguous
        self._file = (array.filename, array.offset, array.dtype) if in_file else None
        self._array: Any = None if in_file else array
        self.count, self.dim = array.shape
        self._check_finite()

    def _check_finite(self):
        wrong = []
        for start in range(0, self.count, BLOCK):
            rows = self.rows(np.arange(start, min(start + BLOCK, self.count)))
            wrong += (start + np.flatnonzero(~np.isfinite(rows).all(axis=1))).tolist()
        if wrong:
            raise ValueError(
                "Argument `teacher_features` must be finite. Received: "
                f"{len(wrong)} of {self.count} rows with NaN or infinity, such as row {wrong[0]}"
            )

    def rows(self, rows):
        """The features of some rows, `(B, D)` float32; of one row `(D,)`."""
        rows = np.asarray(rows)
        if rows.size and rows.max() >= self.count:
            raise IndexError(f"There are features of {self.count} images. Received: {rows.max()}")
        if self._file is None:
            return np.asarray(self._array[rows], "float32")
        path, offset, dtype = self._file
        found = np.empty((*rows.shape, self.dim), dtype)
        with open(path, "rb", buffering=0) as file:
            for row, place in zip(rows.flat, found.reshape(-1, self.dim), strict=True):
                file.seek(offset + int(row) * place.nbytes)
                if file.readinto(place.data) != place.nbytes:
                    raise OSError(f"{path} has become shorter: row {row} is not in it.")
        return found.astype("float32", copy=False)
