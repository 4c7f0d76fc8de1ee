"""A momentum model whose teacher's embeddings enter a queue of anchors."""

import keras
from absl import logging
from keras import ops

from keras_isd import backend
from keras_isd.layers import MemoryQueue
from keras_isd.models.momentum_model import MomentumModel
from keras_isd.validation.arguments import check_positive_integer

# As the authors: of how many nearest anchors purity is the share with the right label.
PURITY_NEIGHBORS = 5


class QueueModel(MomentumModel):
    """Base of methods that compare images with a queue of the teacher's recent embeddings.

    It holds the queue and fills it. Given labels, `fit` also logs `purity`: of the 5 anchors
    nearest to a key the share with its label.

    A method on this base defines `compute_loss`: it reads `self.queue.embeddings`, then calls
    `self.update_purity`, and in training `self.enqueue`.

    Args:
        backbone, projector, predictor: see `MomentumModel`.
        queue_size: int >= 1, the number of anchors.
        queue_dtype: `"float32"` or `"bfloat16"`, how they are stored; see `MemoryQueue`.
        queue_indices: bool, whether the queue keeps the number of the image that each anchor is of,
            from an `"index"` `(B,)` beside the two views; see `keras_isd.visualization`.
        seed: int or None, for the initial rows of the queue, and for views made in the step.
        **kwargs: further arguments of `MomentumModel`.

    Attributes:
        queue: `MemoryQueue` with `embeddings` `(K, D)`, `labels` `(K,)`, `pointer` and `filled`.

    Raises:
        ValueError: if `queue_size` is not a positive integer, and as `MomentumModel` does.

    Source: He et al., "Momentum Contrast", 2020, for the queue.

    Example: `keras_isd.baselines.MoCoModel` is a method on this base.
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
        """How many of each key's nearest anchors `update_purity` needs; 0 without labels."""
        return 0 if labels is None else min(PURITY_NEIGHBORS, self.queue.size)

    def update_purity(self, labels, nearest, training):
        """Counts, given labels `(B,)`, which of the nearest anchors' rows have their key's."""
        if labels is None:
            return
        labels = ops.cast(self.repeat_for_pairs(labels, training), "int32")
        matches = ops.equal(ops.take(self.queue.labels, nearest, axis=0), labels[:, None])
        known = ops.cast(labels >= 0, "float32")
        self.purity.update_state(ops.mean(ops.cast(matches, "float32"), axis=-1), known)

    def enqueue(self, x, labels, keys, loss):
        """Step 4: the keys of a training step enter the queue, once its loss has read it."""
        indices = x.get("index") if isinstance(x, dict) else None
        labels, indices = self.repeat_for_pairs(labels, True), self.repeat_for_pairs(indices, True)
        self.queue.enqueue(keys, labels, self.is_healthy(loss), indices)

    def check_training_images(self, count):
        """Warns of a queue that holds more than one embedding of each image.

        Of several processes each may know of its own images alone.
        """
        if backend.is_one_of_several(self):
            return
        keys = 2 * count if self.symmetric else count
        if self.queue.size > keys:
            logging.warning(
                "The queue of %d anchors is larger than the %d keys of an epoch: every image meets "
                "its own older embeddings among them, which are more alike to it than any other "
                "image. Take a `queue_size` of at most that, better of a half or less.",
                self.queue.size,
                keys,
            )

    def guarded_variables(self):
        """All but the queue: `enqueue` itself lets no key of a step that is not healthy enter."""
        queued = {id(variable) for variable in self.queue.variables}
        return [v for v in super().guarded_variables() if id(v) not in queued]

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        if y is None:
            del logs["purity"]  # nothing to report, rather than 0
        return logs

    def get_config(self):
        return {
            **super().get_config(),
            "queue_size": self.queue.size,
            "queue_dtype": self.queue.storage_dtype,
            "queue_indices": self.queue.indices is not None,
        }
