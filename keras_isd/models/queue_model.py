"""A momentum model whose teacher's embeddings enter a queue of anchors."""

import keras
from absl import logging
from keras import ops

from keras_isd import backend
from keras_isd.layers import MemoryQueue
from keras_isd.models.momentum_model import MomentumModel
from keras_isd.validation.arguments import check_positive_integer

# Nearest anchors among which purity is the share with the right label, as in the authors' code.
PURITY_NEIGHBORS = 5


class QueueModel(MomentumModel):
    """Base class of methods that compare images with a queue of the teacher's recent embeddings.

    It holds the queue and fills it. Given labels, `fit` also logs `purity`: the share of a key's 5
    nearest anchors that have its label.

    A subclass defines `compute_loss`, which reads `self.queue.embeddings`, then calls
    `self.update_purity`, and in training `self.enqueue`.

    Args:
        backbone, projector, predictor: see `MomentumModel`.
        queue_size: int >= 1, the number of anchors. Defaults to 131072.
        queue_dtype: `"float32"` or `"bfloat16"`, the storage type; see `MemoryQueue`. Defaults to
            `"float32"`.
        queue_indices: bool, whether the queue keeps each anchor's image number, from an `"index"`
            `(B,)` in the batch; see `keras_isd.visualization`. Defaults to False.
        seed: int, the seed of the queue's initial rows and of views made in the step, or None.
            Defaults to None.
        **kwargs: further arguments of `MomentumModel`.

    Attributes:
        queue: `MemoryQueue` with `embeddings` `(K, D)`, `labels` `(K,)`, `pointer` and `filled`.

    Raises:
        ValueError: if `queue_size` is not a positive integer, or as in `MomentumModel`.

    Source: He et al., "Momentum Contrast", 2020, for the queue.

    Example: see the source of `keras_isd.baselines.MoCoModel`.
    """

    def __init__(
        self,
        backbone,
        projector=None,
        predictor=None,
        queue_size=131072,
        queue_dtype="float32",
        queue_indices=False,
        seed=None,
        **kwargs,
    ):
        check_positive_integer("queue_size", queue_size)
        super().__init__(backbone, projector, predictor, seed=seed, **kwargs)
        self.queue = MemoryQueue(
            queue_size,
            self.embedding_dim,
            seed=seed,
            storage_dtype=queue_dtype,
            with_indices=queue_indices,
            name="queue",
        )
        self.purity = keras.metrics.Mean(name="purity", dtype="float32")

    def num_nearest(self, labels):
        """The number of nearest anchors that `update_purity` needs; 0 without labels."""
        return 0 if labels is None else min(PURITY_NEIGHBORS, self.queue.size)

    def update_purity(self, labels, nearest, training):
        """Updates purity with the keys' labels `(B,)` and the rows of their nearest anchors."""
        if labels is None:
            return
        labels = ops.cast(self.repeat_for_keys(labels, training), "int32")
        matches = ops.equal(ops.take(self.queue.labels, nearest, axis=0), labels[:, None])
        known = ops.cast(labels >= 0, "float32")
        self.purity.update_state(ops.mean(ops.cast(matches, "float32"), axis=-1), known)

    def enqueue(self, x, labels, keys, loss):
        """Step 4: enqueues the keys of a training step, after its loss has read the queue."""
        indices = x.get("index") if isinstance(x, dict) else None
        labels, indices = self.repeat_for_keys(labels, True), self.repeat_for_keys(indices, True)
        self.queue.enqueue(keys, labels, self.is_healthy(loss), indices)

    def check_training_images(self, count):
        """Warns if the queue holds more than one embedding of each image.

        Each of several processes may know only its own images, and does not check.
        """
        if backend.is_one_of_several(self):
            return
        keys = 2 * count if self.symmetric else count
        if self.queue.size > keys:
            logging.warning(
                "The queue of %d anchors is larger than the %d keys of an epoch: images will be "
                "compared with their own stale embeddings, which are more similar to them than any "
                "other image. Use a `queue_size` of at most half the keys of an epoch.",
                self.queue.size,
                keys,
            )

    def guarded_variables(self):
        """All but the queue's: `enqueue` itself rejects the keys of an unhealthy step."""
        queued = {id(variable) for variable in self.queue.variables}
        return [v for v in super().guarded_variables() if id(v) not in queued]

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        if y is None:
            del logs["purity"]  # unknown, not 0
        return logs

    def get_config(self):
        return {
            **super().get_config(),
            "queue_size": self.queue.size,
            "queue_dtype": self.queue.storage_dtype,
            "queue_indices": self.queue.indices is not None,
        }
