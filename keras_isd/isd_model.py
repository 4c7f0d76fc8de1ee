"""ISD: Self-Supervised Learning by Iterative Similarity Distillation (ICCV 2021)."""

import keras
from keras import ops

from keras_isd import backend
from keras_isd.losses import similarity_distillation
from keras_isd.memory_queue import MemoryQueue
from keras_isd.momentum_model import MomentumModel
from keras_isd.recipes import build_parts, get_recipe

# As the authors: of how many nearest anchors purity is the share with the right label.
PURITY_NEIGHBORS = 5


@keras.saving.register_keras_serializable("keras_isd")
class ISDModel(MomentumModel):
    """Learns image features without labels, by iterative similarity distillation.

    One step:

    1. The student embeds the query view: backbone, projector, predictor.
    2. The teacher moves towards the student and embeds the key view.
    3. Both embeddings are compared with the queue of anchors, as it stood before
       the step. The teacher's similarities, sharpened by a low temperature, are
       the target; the loss is KL(teacher || student), mean over the batch.
    4. The keys enter the queue, and the optimizer updates the student.

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
        queue_dtype: `"float32"` or `"bfloat16"`, how they are stored; see `MemoryQueue`.
        queue_indices: bool, whether the queue keeps the number of the image that each anchor is of,
            from an `"index"` `(B,)` beside the two views; see `keras_isd.visualization`.
        teacher_temperature: float > 0; small values sharpen the target.
        student_temperature: float > 0.
        teacher_momentum: float in `[0, 1]`, the share of the teacher that stays, or a schedule of
            it; see `MomentumModel`.
        query_augmenter, key_augmenter: `keras_isd.augmentation.Augmenter`s, both or
            none: with them `fit` takes plain images and makes the views inside the step.
        seed: int or None, for the initial rows of the queue and for such views.
        synchronized_batch_norm: bool, see `MomentumModel`.
        **kwargs: `name`, `dtype`.

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
        query_augmenter=None,
        key_augmenter=None,
        seed=None,
        queue_dtype="float32",
        synchronized_batch_norm=False,
        queue_indices=False,
        **kwargs,
    ):
        _check_positive("teacher_temperature", teacher_temperature)
        _check_positive("student_temperature", student_temperature)
        if not isinstance(queue_size, int) or isinstance(queue_size, bool) or queue_size < 1:
            raise ValueError(
                "Argument `queue_size` must be a positive integer. "
                f"Received: queue_size={queue_size!r}"
            )
        super().__init__(
            backbone,
            projector,
            predictor,
            teacher_momentum,
            query_augmenter,
            key_augmenter,
            seed,
            synchronized_batch_norm,
            **kwargs,
        )
        self.teacher_temperature = teacher_temperature
        self.student_temperature = student_temperature
        self.queue = MemoryQueue(
            queue_size,
            self.embedding_dim,
            seed=seed,
            storage_dtype=queue_dtype,
            with_indices=queue_indices,
            name="queue",
        )
        self.purity = keras.metrics.Mean(name="purity")
        self.teacher_entropy = keras.metrics.Mean(name="teacher_entropy")
        self.embedding_std = keras.metrics.Mean(name="embedding_std")

    @classmethod
    def from_recipe(cls, name, input_shape=None, backbone=None, **kwargs):
        """Builds the model of a recipe: backbone, heads, temperatures, momentum, queue.

        `keras_isd.optimizers.from_recipe` gives the optimizer that goes with it.

        Args:
            name: `"resnet50"` (the authors' "ISD+"), `"resnet18"`, or
                `"cifar_resnet18"` for small images.
            input_shape: `(height, width, channels)`, instead of the recipe's.
            backbone: built `keras.Model`, instead of the recipe's; the heads take
                its width.
            **kwargs: arguments of `ISDModel`, instead of the recipe's.

        Returns:
            An `ISDModel`, not yet compiled.

        Raises:
            ValueError: if there is no recipe of that name, or both `input_shape`
                and `backbone` are given.

        Example:

        >>> model = keras_isd.ISDModel.from_recipe("resnet18", (64, 64, 3), queue_size=1024)
        >>> model.embedding_dim
        512
        """
        recipe = get_recipe(name)
        parts = build_parts(recipe, input_shape, backbone)
        return cls(**{**parts, **recipe.model, **kwargs})

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=False):
        """KL(teacher || student), mean over the batch; when training, the keys enter the queue.

        `y_pred` is what the model gives for two views. `sample_weight` `(B,)` weighs the images.
        Losses of the sub-models, such as regularizers, are added.
        """
        query, key = y_pred["query"], y_pred["key"]
        labels = None if y is None else ops.cast(y, "int32")
        neighbors = 0 if labels is None else min(PURITY_NEIGHBORS, self.queue.size)

        distillation = similarity_distillation(
            query,
            key,
            self.queue.embeddings,
            self.teacher_temperature,
            self.student_temperature,
            num_nearest=neighbors,
            block_size=self.queue.size if backend.is_split(self.queue.embeddings) else None,
        )
        loss = self.mean_loss(distillation.loss, sample_weight)

        self.teacher_entropy.update_state(distillation.teacher_entropy)
        queries = backend.replicas.gather(ops.stop_gradient(query))
        self.embedding_std.update_state(ops.std(queries, axis=0))
        if labels is not None:
            self._update_purity(labels, distillation.nearest)
        if training:
            indices = x.get("index") if isinstance(x, dict) else None
            self.queue.enqueue(key, labels, self.is_healthy(loss), indices)
        return loss

    def _update_purity(self, labels, nearest):
        matches = ops.equal(ops.take(self.queue.labels, nearest, axis=0), labels[:, None])
        known = ops.cast(labels >= 0, "float32")
        self.purity.update_state(ops.mean(ops.cast(matches, "float32"), axis=-1), known)

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
            "teacher_temperature": self.teacher_temperature,
            "student_temperature": self.student_temperature,
        }


def _check_positive(name, value):
    if not value > 0:
        raise ValueError(f"Argument `{name}` must be positive. Received: {name}={value!r}")
