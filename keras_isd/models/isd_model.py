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

    No image is simply a negative: an anchor similar to the key becomes
    similar to the query. This should help on class-imbalanced data, where many
    "negatives" belong to the same class.

    `fit` logs, as running means over the epoch: `loss`, in nats; `purity`, if labels
    are given: the share of the key's 5 nearest anchors that have its label;
    `teacher_entropy`, in nats, at most `log(queue_size)`; `embedding_std`, the
    standard deviation of a coordinate of the student's unit embeddings: about
    `1 / sqrt(D)` in a healthy run, 0 in a collapse.

    See `MomentumModel` for the data that `fit` takes and the output of `predict`.

    Args:
        backbone: built `keras.Model`, images `(B, H, W, C)` to features `(B, F)`.
        projector: built `keras.Model`, `(B, F)` to `(B, D)`. Defaults to None (D = F).
        predictor: built `keras.Model`, `(B, D)` to `(B, D)`. Defaults to None.
        queue_size: int >= 1, the number of anchors. Defaults to 131072.
        teacher_temperature: float > 0; small values sharpen the target. Defaults to 0.01.
        student_temperature: float > 0. Defaults to 0.1.
        teacher_momentum: float in `[0, 1]`, the share of the teacher kept in each update, or a
            schedule of it; see `MomentumModel`. Defaults to 0.99.
        own_key_anchor: bool, whether each image's own key is an anchor in addition to the queue. It
            is the most similar anchor for the teacher, and the loss approaches MoCo's as
            `teacher_temperature` approaches 0. Defaults to False.
        **kwargs: `queue_dtype` and `queue_indices`, see `QueueModel`; `query_augmenter` and
            `key_augmenter`, `seed`, `symmetric`, `synchronized_batch_norm`, `name` and `dtype`, see
            `MomentumModel`.

    Attributes:
        queue: `MemoryQueue` with `embeddings` `(K, D)`, `labels` `(K,)`, `pointer` and
            `filled`.
        student_backbone, projector, predictor, teacher_backbone, teacher_projector:
            the sub-models.

    Raises:
        ValueError: if an argument is outside its range, or the sub-models' shapes do
            not fit together.

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
        """Computes KL(teacher || student) over the anchors; in training, enqueues the keys.

        Args:
            x: the batch; only its `"index"` is used, if present.
            y: `(B,)` integer labels, -1 for unknown, or None; used only for purity.
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
            queries_per_key=self.queries_per_key,
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
