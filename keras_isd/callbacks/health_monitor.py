"""Detects collapse and other problems of a run while it can still be stopped."""

import math

import keras
import numpy as np
from absl import logging
from keras import ops

from keras_isd.callbacks.due_epochs import is_due
from keras_isd.evaluation.features import extract_features
from keras_isd.evaluation.health import (
    effective_rank,
    find_all_neighbors,
    neighbor_overlap,
    view_retrieval,
)
from keras_isd.validation.arguments import check_in_range
from keras_isd.validation.features import check_features

# Shares of the healthy spread `1 / sqrt(D)`. Early in a good run it may fall to a tenth, while
# embeddings still share a large component.
COLLAPSED_SPREAD = 0.05
LOW_SPREAD = 0.1
COLLAPSED_RANK = 1.5
# Share of the maximum, `log(K)`.
UNIFORM_ENTROPY = 0.95
# In nats: on average nine tenths of the weight are on one anchor.
ONE_HOT_ENTROPY = 0.33


class HealthMonitor(keras.callbacks.Callback):
    """Monitors a run for collapse and other problems, and logs common remedies.

    After each epoch it adds to `logs`

    - `effective_rank`: the number of directions that the keys in the queue spread over, in [1, D]:
      the exponential of the entropy of their singular values;
    - `queue_filled`: the share of the queue's rows that hold keys, in [0, 1]; the rest is random;
    - `collapsed`: 1 or 0, whether all embeddings have become nearly the same;

    and, with `views` of held-out images, without labels, for the student's features

    - `feature_rank`: the number of directions that they spread over, in [1, F];
    - `view_retrieval`: the share of images whose other view is the nearest of all, in [0, 1];
    - `neighbor_stability`: the share of the ten nearest neighbours kept since the last measurement.

    For 1,000 images of CIFAR-10, after ten epochs of a small network on 10,000 others, the three
    were 42 to 51, 0.064 to 0.109 and 0.87 to 0.93 in three good runs, and 5 to 54, 0.020 to 0.053
    and 0.23 to 0.95 in three bad ones: only `view_retrieval` separates them.

    A run is collapsed if `embedding_std` is below a twentieth of `1 / sqrt(D)`, or the effective
    rank is below 1.5, or the spread is below a tenth of the healthy value and the teacher's entropy
    above 95 % of its maximum. Each problem is logged once as a warning, and kept in `findings`.

    Args:
        stop_on_collapse: bool, whether to stop the run at a collapse. Defaults to False.
        rows: int, the maximum number of queue rows that the rank is computed from. Defaults to
            2048.
        views: pair of `(N, H, W, C)` arrays, two views of each of about a thousand images, as the
            student's input. Defaults to None.
        every_n_epochs: int >= 1, epochs between measurements of the views, in addition to the first
            and the last epoch. Defaults to 1.

    Attributes:
        findings: list of pairs of an epoch, from 1, and a sentence.

    Source: effective rank: Roy and Vetterli, "The effective rank", EUSIPCO 2007; as a measure of
    learned features: Garrido et al., "RankMe", ICML 2023. Spread: Chen and He, "Exploring simple
    Siamese representation learning", 2021, section 4.1.

    Example:

    >>> monitor = keras_isd.callbacks.HealthMonitor(stop_on_collapse=True)
    >>> monitor.findings
    []
    """

    remembered = ("neighbors_before",)  # saved by `Resume`

    def __init__(self, stop_on_collapse=False, rows=2048, views=None, every_n_epochs=1):
        super().__init__()
        check_in_range("every_n_epochs", every_n_epochs, 1)
        self.stop_on_collapse = stop_on_collapse
        self.rows = rows
        self.findings = []
        self.every_n_epochs = every_n_epochs
        self.neighbors_before = []
        self._views = None if views is None else ViewHealth(*views)

    def on_epoch_begin(self, epoch, logs=None):
        # Not earlier: a resumed run restores its weights when training begins.
        if self._views is not None and not self.neighbors_before:
            self.neighbors_before = [self._views.neighbors(self.model)]

    def on_epoch_end(self, epoch, logs=None):
        model = self.model
        dim = model.embedding_dim
        queue = getattr(model, "queue", None)
        if queue is not None:
            filled = int(ops.convert_to_numpy(queue.filled))
            logs["queue_filled"] = filled / queue.size
            logs["effective_rank"] = effective_rank(self._recent_keys(queue, filled))
        due = is_due(epoch, self.every_n_epochs, self.params["epochs"])
        if self._views is not None and due:
            found, neighbors = self._views.measure(model, *self.neighbors_before)
            self.neighbors_before = [neighbors]
            logs |= found
        signs = list(signs_of_collapse(logs, dim, queue and queue.size))
        logs["collapsed"] = float(bool(signs))
        if signs:
            self._collapsed(epoch, signs)
        elif queue is not None:
            self._check_minor_problems(epoch, logs, queue.size)

    def _recent_keys(self, queue, filled):
        """The newest keys, oldest first."""
        count = max(1, min(self.rows, filled))
        pointer = ops.convert_to_numpy(queue.pointer)
        newest = (pointer - 1 - np.arange(count)) % queue.size
        rows = ops.take(queue.embeddings.value, newest[::-1].astype("int32"), axis=0)
        return ops.convert_to_numpy(ops.cast(rows, "float32"))

    def _collapsed(self, epoch, signs):
        self._warn_once(
            epoch,
            "collapse",
            f"The run has collapsed: {', and '.join(signs)}. It seldom recovers. Common remedies: "
            "a lower learning rate or a warm-up, a predictor, a teacher temperature below the "
            "student's, a teacher momentum closer to 1.",
        )
        if self.stop_on_collapse:
            self.model.stop_training = True

    def _check_minor_problems(self, epoch, logs, size):
        if logs["queue_filled"] < 1 and epoch + 1 == max(self.params["epochs"] // 10, 5):
            self._warn_once(
                epoch,
                "queue",
                f"Only {logs['queue_filled']:.0%} of the queue holds keys; the rest is random and "
                "teaches nothing. Common remedy: a smaller `queue_size`.",
            )
        if "teacher_entropy" not in logs:
            return
        if logs["teacher_entropy"] > UNIFORM_ENTROPY * math.log(size):
            self._warn_once(
                epoch,
                "uniform",
                "The teacher's distribution is near uniform. Common remedy: a lower "
                "`teacher_temperature`.",
            )
        if logs["queue_filled"] == 1 and logs["teacher_entropy"] < ONE_HOT_ENTROPY:
            self._warn_once(
                epoch,
                "entropy",
                "The teacher's distribution is nearly one-hot (entropy "
                f"{logs['teacher_entropy']:.2f} nats). Common remedies: a higher "
                "`teacher_temperature`, or a larger queue.",
            )

    def _warn_once(self, epoch, problem, sentence):
        if problem not in self._reported:
            self._reported.add(problem)
            self.findings.append((epoch + 1, sentence))
            logging.warning("After epoch %d: %s", epoch + 1, sentence)

    def on_train_begin(self, logs=None):
        self._reported = set()


def signs_of_collapse(logs, dim, queue_size):
    """Yields the signs, as text, that all embeddings have become nearly the same."""
    spread = logs["embedding_std"] * math.sqrt(dim)
    low_spread = f"the spread of the embeddings is {spread:.1%} of the healthy value"
    if spread < COLLAPSED_SPREAD:
        yield low_spread
    if queue_size is None:
        return
    entropy = logs.get("teacher_entropy", 0.0)  # ISD only
    if dim > 2 and logs["effective_rank"] < COLLAPSED_RANK:
        yield "the keys lie in nearly one direction"
    if spread < LOW_SPREAD and entropy > UNIFORM_ENTROPY * math.log(queue_size):
        yield f"the teacher's distribution is uniform, and {low_spread}"


BATCH_SIZE = 250
NEIGHBORS = 10


class ViewHealth:
    """Health metrics of a student's features, from two views of each of N images.

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
        batches = [views[start : start + BATCH_SIZE] for start in range(0, len(views), BATCH_SIZE)]
        found = extract_features(model.student_backbone, batches, verbose=0).features
        check_features(features=found)
        return found

    def neighbors(self, model):
        """The nearest images of each image by their first views: `(N, k)` rows."""
        return self._neighbors(self.features(model, self.first))

    def measure(self, model, before):
        """The metrics for the logs, and the neighbours for the next measurement."""
        first, second = (self.features(model, views) for views in (self.first, self.second))
        neighbors = self._neighbors(first)
        logs = {
            "feature_rank": effective_rank(first),
            "view_retrieval": view_retrieval(first, second),
            "neighbor_stability": neighbor_overlap(before, neighbors),
        }
        return logs, neighbors

    def _neighbors(self, features):
        return find_all_neighbors(features, min(NEIGHBORS, len(features) - 1))[0]
