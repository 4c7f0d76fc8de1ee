"""Measures of a network by two views of some images, without labels."""

import numpy as np

from keras_isd.evaluation.checks import check_features
from keras_isd.evaluation.features import extract_features
from keras_isd.evaluation.health import (
    effective_rank,
    kept_neighbors,
    neighbors_of_all,
    view_retrieval,
)

BATCH = 250
NEIGHBORS = 10


class ViewHealth:
    """Two views of each of N images, and what a student's backbone makes of them.

    Args:
        first, second: `(N, H, W, C)` arrays.
    """

    def __init__(self, first, second):
        if np.shape(first) != np.shape(second) or np.ndim(first) != 4 or len(first) < 3:
            raise ValueError(
                "Argument `views` must be two arrays of shape (images, height, width, channels), "
                "of at least three images. "
                f"Received: shapes {np.shape(first)} and {np.shape(second)}"
            )
        self.first, self.second = np.asarray(first), np.asarray(second)

    def features(self, model, views):
        batches = [views[start : start + BATCH] for start in range(0, len(views), BATCH)]
        found = extract_features(model.student_backbone, batches, verbose=0).features
        check_features(features=found)
        return found

    def neighbors(self, model):
        """The nearest images of each image, by the first view: `(N, k)` rows."""
        return self._neighbors(self.features(model, self.first))

    def measure(self, model, before):
        """What goes into the logs, and the neighbours, for the next time."""
        first, second = (self.features(model, views) for views in (self.first, self.second))
        neighbors = self._neighbors(first)
        logs = {
            "feature_rank": effective_rank(first),
            "view_retrieval": view_retrieval(first, second),
            "neighbor_stability": kept_neighbors(before, neighbors),
        }
        return logs, neighbors

    def _neighbors(self, features):
        return neighbors_of_all(features, min(NEIGHBORS, len(features) - 1))[0]
