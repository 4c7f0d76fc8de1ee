"""ISD: Self-Supervised Learning by Iterative Similarity Distillation (ICCV 2021)."""

import keras

from keras_isd import backend
from keras_isd.losses import similarity_distillation
from keras_isd.models.queue_model import QueueModel
from keras_isd.validation.arguments import check_positive


@keras.saving.register_keras_serializable("keras_isd")
class ISDModel(QueueModel):
    """Learns image features without labels, by iterative similarity distillation.

    One step:

    1. The teacher moves a little towards the student.
    2. The student embeds the query view: backbone, projector, predictor. The
       teacher embeds the key view: backbone, projector.
    3. Both embeddings are compared with the queue of anchors, as it stood before
       the step. The teacher's similarities, sharpened by a low temperature, are
       the target; the loss is KL(teacher || student), mean over the batch.
    4. The keys enter the queue.
    5. The optimizer updates the student.

    No image is a plain negative: an anchor that resembles the query is labelled
    as similar. That serves unbalanced data, where many "negatives" are in truth
    of the same kind.

    `fit` logs, as running means over the epoch: `loss`, in nats; `purity`, if labels
    are given: of the 5 anchors nearest to the key the share with its label;
    `teacher_entropy`, in nats, at most `log(queue_size)`; `embedding_std`, the
    standard deviation of a coordinate of the student's unit embeddings: about
    `1 / sqrt(D)` in good health, 0 in a collapse.

    See `MomentumModel` for the data that `fit` takes and for what `predict` gives.

    Args:
        backbone: built `keras.Model`, images `(B, H, W, C)` to features `(B, F)`.
        projector: built `keras.Model`, `(B, F)` to `(B, D)`, or None (D = F).
        predictor: built `keras.Model`, `(B, D)` to `(B, D)`, or None.
        queue_size: int >= 1, the number of anchors.
        teacher_temperature: float > 0; small values sharpen the target.
        student_temperature: float > 0.
        teacher_momentum: float in `[0, 1]`, the share of the teacher that stays, or a schedule of
            it; see `MomentumModel`.
        own_key_anchor: bool, whether each image's own key is an anchor too, beside the queue. It is
            the one most similar to the teacher, and the nearer `teacher_temperature` is to 0, the
            more the loss is MoCo's.
        **kwargs: `queue_dtype` and `queue_indices`, see `QueueModel`; `query_augmenter` and
            `key_augmenter`, `seed`, `symmetric`, `synchronized_batch_norm`, `name` and `dtype`, see
            `MomentumModel`.

    Attributes:
        queue: `MemoryQueue` with `embeddings` `(K, D)`, `labels` `(K,)`, `pointer` and
            `filled`.
        student_backbone, projector, predictor, teacher_backbone, teacher_projector:
            the sub-models.

    Raises:
        ValueError: if an argument is outside its range, or sub-models do not fit
            together.

    Source: section 3 of the paper; `ISD` in the authors' `train_isd_plus.py`.

    Example:

    >>> model = keras_isd.ISDModel.from_recipe(
    ...     "cifar_resnet18", backbone=keras_isd.backbones.ResNet18((32, 32, 3), "small", width=8),
    ...     queue_size=64)
    >>> model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9, weight_decay=1e-4))
    >>> views = {name: np.random.rand(16, 32, 32, 3) for name in ("query", "key")}
    >>> history = model.fit(views, batch_size=8, verbose=0)
    >>> model.predict(views["query"], verbose=0).shape
    (16, 64)
    """

    def __init__(
        self,
        backbone,
        projector=None,
        predictor=None,
        queue_size=131072,
        teacher_temperature=0.01,
        student_temperature=0.1,
        teacher_momentum=0.99,
        own_key_anchor=False,
        **kwargs,
    ):
        check_positive("teacher_temperature", teacher_temperature)
        check_positive("student_temperature", student_temperature)
        super().__init__(
            backbone,
            projector,
            predictor,
            queue_size,
            teacher_momentum=teacher_momentum,
            **kwargs,
        )
        self.teacher_temperature = teacher_temperature
        self.student_temperature = student_temperature
        self.own_key_anchor = own_key_anchor
        self.teacher_entropy = keras.metrics.Mean(name="teacher_entropy", dtype="float32")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=False):
        """KL(teacher || student) over the anchors; in training the keys then enter the queue.

        Args:
            x: the views, not used but for an `"index"` beside them.
            y: `(B,)` integer labels, -1 where unknown, or None; for purity alone.
            y_pred: embeddings of the two views, `{"query": (B, D), "key": (B, D)}`.
            sample_weight: `(B,)`, weights of the images, or None.
            training: bool, whether the keys enter the queue.

        Returns:
            Scalar: mean over the batch, in nats, plus losses of the sub-models.
        """
        distillation = similarity_distillation(
            y_pred["query"],
            y_pred["key"],
            self.queue.embeddings,
            self.teacher_temperature,
            self.student_temperature,
            num_nearest=self.num_nearest(y),
            block_size=self.queue.size if backend.is_sharded(self.queue.embeddings) else None,
            own_key_anchor=self.own_key_anchor,
        )
        loss = self.mean_loss(distillation.loss, sample_weight)

        self.teacher_entropy.update_state(distillation.teacher_entropy)
        self.update_purity(y, distillation.nearest, training)
        if training:
            self.enqueue(x, y, y_pred["key"], loss)
        return loss

    def get_config(self):
        return {
            **super().get_config(),
            "teacher_temperature": self.teacher_temperature,
            "student_temperature": self.student_temperature,
            "own_key_anchor": self.own_key_anchor,
        }
