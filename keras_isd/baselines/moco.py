"""MoCo v2: Momentum Contrast (He et al., 2020; Chen et al., 2020), the basis of ISD."""

import contextlib

import keras
from absl import logging
from keras import ops

from keras_isd.compat.keras_internals import all_layers
from keras_isd.layers import BatchNormalization
from keras_isd.losses import contrastive, nearest_anchors
from keras_isd.models.queue_model import QueueModel
from keras_isd.validation.arguments import check_positive, check_positive_integer


@keras.saving.register_keras_serializable("keras_isd")
class MoCoModel(QueueModel):
    """Learns image features without labels, by distinguishing an image's key from the queue's.

    Unlike in `ISDModel` there is one correct answer: the query is to be similar to its own key, and
    every anchor of the queue is a negative, however similar it is.

    `fit` logs `loss`, the cross-entropy in nats, and `embedding_std`; given labels also `purity`.

    If a batch is normalised as a whole, its statistics reveal its keys among those of the queue.
    `shuffle_groups` does on one device what MoCo does with several.

    Args:
        backbone, projector, predictor, teacher_momentum and others: see `QueueModel` and
            `MomentumModel`. MoCo v2 has no predictor.
        queue_size: int >= 1, the number of negatives. Defaults to 65536.
        temperature: float > 0. Defaults to 0.2.
        shuffle_groups: int >= 1, number of groups of a batch (of a replica's part under a
            `tf.distribute` strategy) that `keras_isd.BatchNormalization` normalises separately in
            training, with keys in other groups than their queries. Defaults to 1: the whole batch.

    Raises:
        ValueError: if an argument is outside its range, or as in `QueueModel`.

    Source: algorithm 1 and section 3.3, "Shuffling BN", of the paper; `MoCo` in facebookresearch's
    `moco/builder.py`.

    Example:

    >>> model = keras_isd.baselines.MoCoModel(
    ...     keras_isd.backbones.ConvNet((8, 8, 3), (16,)), queue_size=32, temperature=0.2)
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
        queue_size=65536,
        temperature=0.2,
        teacher_momentum=0.999,
        shuffle_groups=1,
        **kwargs,
    ):
        check_positive("temperature", temperature)
        check_positive_integer("shuffle_groups", shuffle_groups)
        if shuffle_groups > 1 and kwargs.get("synchronized_batch_norm"):
            raise ValueError(
                "Arguments `synchronized_batch_norm` and `shuffle_groups` exclude each other. "
                f"Received: {shuffle_groups=}, synchronized_batch_norm=True"
            )
        super().__init__(
            backbone,
            projector,
            predictor,
            queue_size,
            teacher_momentum=teacher_momentum,
            **kwargs,
        )
        self._warn_of_other_normalization(shuffle_groups)
        self.temperature = temperature
        self.shuffle_groups = int(shuffle_groups)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=False):
        """Computes InfoNCE, mean over the batch; in training, enqueues the keys."""
        query, key, anchors = y_pred["query"], y_pred["key"], self.queue.embeddings
        per_query = contrastive(query, self.repeat_keys(key), anchors, self.temperature)
        loss = self.mean_loss(per_query, sample_weight)
        if y is not None:
            self.update_purity(y, nearest_anchors(key, anchors, self.num_nearest(y)), training)
        if training:
            self.enqueue(x, y, key, loss)
        return loss

    # Shuffling BN

    def check_training_sizes(self, sizes):
        if self.shuffle_groups > 1:
            self._check_groups(sizes())

    def embed_query(self, images, training=False, any_size=False):
        if not training or self.shuffle_groups == 1:
            return super().embed_query(images, training=training, any_size=any_size)
        self._check_groups({images.shape[0]})
        with self._in_groups():
            return super().embed_query(images, training=True, any_size=any_size)

    def embed_key(self, images, training=False):
        if not training or self.shuffle_groups == 1:
            return super().embed_key(images, training=training)
        # Queries are normalised in consecutive groups, keys in strided ones. In a random batch this
        # fixed order shuffles as well as a random one.
        n = self.shuffle_groups
        with self._in_groups():
            keys = super().embed_key(_transposed(images, -1, n), training=True)
        return _transposed(keys, n, -1)

    def _check_groups(self, sizes):
        wrong = sorted(size for size in sizes - {None} if size % self.shuffle_groups)
        if wrong:
            raise ValueError(
                f"Every batch must be a multiple of shuffle_groups={self.shuffle_groups} on every "
                "replica. Change the batch size, or drop a smaller last batch with "
                f"`drop_remainder=True`. Received: batches of {wrong} images"
            )

    def _warn_of_other_normalization(self, shuffle_groups):
        others = [
            layer.name
            for layer in all_layers(self)
            if isinstance(layer, keras.layers.BatchNormalization)
            and not isinstance(layer, BatchNormalization)
        ]
        if shuffle_groups > 1 and others:
            logging.warning(
                "Argument `shuffle_groups` has no effect on batch normalisation other than "
                "`keras_isd.BatchNormalization`, so keys leak their batch through its statistics. "
                "Received: shuffle_groups=%d, and %d layers such as %s",
                shuffle_groups,
                len(others),
                others[0],
            )

    @contextlib.contextmanager
    def _in_groups(self):
        """Context of batch normalisation by groups; other models may share the sub-models."""
        layers = [x for x in all_layers(self) if isinstance(x, BatchNormalization)]
        for layer in layers:
            layer.groups = self.shuffle_groups
        try:
            yield
        finally:
            for layer in layers:
                layer.groups = 1

    def get_config(self):
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "shuffle_groups": self.shuffle_groups,
        }


def _transposed(x, rows, columns):
    """Reorders a batch: written row by row into a table, and read column by column."""
    shape = ops.shape(x)
    table = ops.reshape(x, (rows, columns, *shape[1:]))
    return ops.reshape(ops.swapaxes(table, 0, 1), shape)
