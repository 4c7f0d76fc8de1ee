"""MSF: Mean Shift for self-supervised learning (Koohpayegani et al., 2021), ISD's successor."""

import keras
from keras import ops

from keras_isd.losses import nearest_anchors
from keras_isd.models.queue_model import QueueModel
from keras_isd.validation.arguments import check_positive_integer


@keras.saving.register_keras_serializable("keras_isd")
class MSFModel(QueueModel):
    """Learns image features without labels, by moving a query towards its key's neighbours.

    Unlike in `ISDModel` the queue is a memory bank that keys enter before it is searched. The loss
    is the mean squared distance of the query to the embeddings nearest to its key, the first of
    which is the key itself. As in BYOL there are no negatives.

    `fit` logs `loss`, in [0, 4], and `embedding_std`; given labels also `purity`: the share of a
    key's neighbours, in training including itself, that have its label.

    Args:
        backbone, projector, predictor, teacher_momentum and others: see `QueueModel` and
            `MomentumModel`.
        queue_size: int, the number of embeddings in the memory bank; at least those of a batch.
            Defaults to 131072.
        num_neighbors: int in [1, queue_size]; 1 gives BYOL's loss. Defaults to 10.

    Raises:
        ValueError: if an argument is outside its range, or as in `QueueModel`.

    Source: `MeanShift` in the authors' `train_msf.py` (UMBCvision/MSF); section 3 of the paper.

    Example:

    >>> model = keras_isd.baselines.MSFModel(
    ...     keras_isd.backbones.ConvNet((8, 8, 3), (16,)),
    ...     projector=keras_isd.heads.mlp(16, 32, 4, name="projector"),
    ...     predictor=keras_isd.heads.mlp(4, 32, 4, name="predictor"),
    ...     queue_size=32, num_neighbors=3)
    >>> model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9, weight_decay=1e-4))
    >>> views = {name: np.random.rand(16, 8, 8, 3) for name in ("query", "key")}
    >>> sorted(model.fit(views, batch_size=8, verbose=0).history)
    ['embedding_std', 'loss']
    """

    def __init__(
        self,
        backbone,
        projector=None,
        predictor=None,
        queue_size=131072,
        num_neighbors=10,
        teacher_momentum=0.99,
        **kwargs,
    ):
        check_positive_integer("num_neighbors", num_neighbors)
        super().__init__(
            backbone,
            projector,
            predictor,
            queue_size,
            teacher_momentum=teacher_momentum,
            **kwargs,
        )
        if num_neighbors > queue_size:
            raise ValueError(
                "Argument `num_neighbors` must be at most `queue_size`. "
                f"Received: {num_neighbors=}, {queue_size=}"
            )
        self.num_neighbors = int(num_neighbors)

    def check_training_sizes(self, sizes):
        keys = {self.keys_per_image(training=True) * size for size in sizes() - {None}}
        if max(keys, default=0) > self.queue.size:
            raise ValueError(
                "Argument `queue_size` must be at least the number of keys of a batch. "
                f"Received: queue_size={self.queue.size}, batches of {sorted(keys)} keys"
            )

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=False):
        """Computes the mean squared distance of queries to their keys' neighbours."""
        query, key = y_pred["query"], y_pred["key"]
        if training:
            # Keys enter the bank before the search. The loss will be finite if the distance to the
            # key itself is.
            distances = 2 - 2 * ops.sum(query * self.repeat_keys(key), axis=-1)
            to_own_key = ops.stop_gradient(distances)
            self.enqueue(x, y, key, self.mean_loss(to_own_key, sample_weight))
        nearest = nearest_anchors(key, self.queue.embeddings, self.num_neighbors)
        neighbors = ops.cast(ops.take(self.queue.embeddings, nearest, axis=0), "float32")
        neighbors = self.repeat_keys(ops.stop_gradient(neighbors))
        similarity = ops.sum(query[:, None, :] * neighbors, axis=-1)
        self.update_purity(y, nearest, training)
        return self.mean_loss(ops.mean(2 - 2 * similarity, axis=-1), sample_weight)

    def get_config(self):
        return {**super().get_config(), "num_neighbors": self.num_neighbors}
