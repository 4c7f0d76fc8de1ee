"""Features that a teacher has of all images, by row: in an array, or in a file."""

import os

import numpy as np

BLOCK = 10_000  # rows that are looked at together


class TeacherFeatures:
    """Rows of features `(N, D)`, read when they are asked for.

    Args:
        features: `(N, D)` array of floats, or the path of a `.npy` file of one. Of a file only the
            rows that are asked for are in memory, and no longer than they are used.
        count: int, N, the number of images that they must be of, or None if it is not known.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if they are not of shape `(count, D)` or not floats, or some are not finite.
    """

    def __init__(self, features, count=None):
        self._path = os.fspath(features) if isinstance(features, (str, os.PathLike)) else None
        self._array = None if self._path else np.asanyarray(features)
        array = self._open()
        if array.ndim != 2 or array.dtype.kind != "f" or count not in (None, len(array)):
            raise ValueError(
                "Argument `teacher_features` must be floats of shape "
                f"({'images' if count is None else count}, features), one row for each image. "
                f"Received: shape {array.shape}, {array.dtype}"
            )
        self.dim = array.shape[1]
        self._check_finite(len(array))

    def _open(self):
        return np.load(self._path, mmap_mode="r") if self._path else self._array

    def _check_finite(self, count):
        wrong = []
        for start in range(0, count, BLOCK):
            rows = self._open()[start : start + BLOCK]
            wrong += (start + np.flatnonzero(~np.isfinite(rows).all(axis=1))).tolist()
        if wrong:
            raise ValueError(
                f"Argument `teacher_features` must be finite. Received: {len(wrong)} of {count} "
                f"rows with NaN or infinity, such as row {wrong[0]}"
            )

    def rows(self, rows):
        """The features of some rows, `(B, D)` float32."""
        # A file is opened anew, since what is read through a map stays in the process' memory.
        return np.asarray(self._open()[rows], "float32")
