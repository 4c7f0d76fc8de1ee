"""The training step on two views, of a student and its slowly moving teacher."""

import keras
from keras import ops

from keras_isd import backend
from keras_isd.backend import GuardedTrainStep
from keras_isd.checked_batches import CheckedBatches
from keras_isd.memory_queue import MemoryQueue
from keras_isd.recipes import build_parts, get_recipe
from keras_isd.student_and_teacher import StudentAndTeacher
from keras_isd.two_views import TwoViews


class MomentumModel(CheckedBatches, GuardedTrainStep, StudentAndTeacher):
    """Base of methods in which a student learns from its own moving average.

    The student is a backbone, a projector and a predictor. The teacher is a copy
    of the backbone and the projector, whose parameters follow the student's:
    `teacher = momentum * teacher + (1 - momentum) * student` at the start of every
    training step. The teacher's batch normalisation runs on batch statistics while
    training, and its moving statistics follow its own batches; they are not averaged.

    A method on this base defines `compute_loss`, which receives as `y_pred` the
    embeddings of the two views, `{"query": (B, D), "key": (B, D)}`, unit rows in
    float32. `fit` logs `loss` and `embedding_std`, the standard deviation of a coordinate of the
    student's embeddings: about `1 / sqrt(D)` in good health, 0 in a collapse.

    Called on images the model gives the student's features, `(B, F)`, so `predict`
    does; called on `{"query", "key"}` it gives the embeddings of the two views.

    `fit` takes batches of `{"query": (B, H, W, C), "key": (B, H, W, C)}`, or a pair
    of that and integer labels `(B,)`, -1 where unknown. Labels serve metrics alone. With a
    `query_augmenter` and a `key_augmenter` it also takes plain images `(B, H, W, 3)` in
    [0, 255] and makes both views itself, on the accelerator; `predict` still takes images as the
    backbone sees them, such as `keras_isd.augmentation.evaluation` gives.

    A training step whose loss is not finite changes nothing, and `fit` then stops
    with an error that names it.

    With `gradient_accumulation_steps=n` the teacher moves once for each update of
    the student, at the first of its n batches, as it would with one batch of n
    times the size. Steps that float16 loss scaling skips are not counted, here and in the error.

    Layers that are frozen in the student when the model is compiled are so in the teacher.

    Args:
        backbone: built `keras.Model`, images `(B, H, W, C)` to features `(B, F)`.
        projector: built `keras.Model`, `(B, F)` to `(B, D)`, or None (D = F).
        predictor: built `keras.Model`, `(B, D)` to `(B, D)`, or None.
        teacher_momentum: float in `[0, 1]`, or a schedule from the number of updates made so far to
            one, such as `keras_isd.optimizers.momentum_cosine(0.99, total_steps)`.
        query_augmenter, key_augmenter: `keras_isd.augmentation.Augmenter`s, both or
            none, for views made inside the training step.
        seed: int or None, for those views.
        synchronized_batch_norm: bool, whether the batch normalisation of all sub-models uses the
            statistics of the whole batch under a `tf.distribute` strategy, instead of those of a
            replica's part. On JAX it always does.
        symmetric: bool, whether in training each view is the query once and the key once, at nearly
            twice the cost. `compute_loss` then gets `(2 B, D)` embeddings, an image's two pairs
            next to one another.
        **kwargs: `name`, and `dtype`, which stays float32 unless given: mixed
            precision is a matter of the sub-models.

    Attributes:
        student_backbone, projector, predictor: the sub-models given.
        teacher_backbone, teacher_projector: their frozen copies.
        embedding_dim: int, D.

    Raises:
        ValueError: if a sub-model is not built, has an output of another rank or
            of a width that does not fit the next, `teacher_momentum` is outside
            `[0, 1]`, or one augmenter is given without the other.

    Source: `ISD.__init__` and `_momentum_update_key_encoder` in the authors'
    `train_isd_plus.py`; He et al., "Momentum Contrast", 2020, for the update.

    Example, a method without a queue (BYOL's loss):

    >>> class Regression(keras_isd.MomentumModel):
    ...     def compute_loss(self, x, y, y_pred, sample_weight=None, training=False):
    ...         cosine = keras.ops.sum(y_pred["query"] * y_pred["key"], -1)
    ...         return self.mean_loss(2 - 2 * cosine, sample_weight)
    """

    def __init__(
        self,
        backbone,
        projector=None,
        predictor=None,
        teacher_momentum=0.99,
        query_augmenter=None,
        key_augmenter=None,
        seed=None,
        synchronized_batch_norm=False,
        symmetric=False,
        **kwargs,
    ):
        if (query_augmenter is None) != (key_augmenter is None):
            raise ValueError(
                "Give both `query_augmenter` and `key_augmenter`, or none. "
                f"Received: {query_augmenter=}, {key_augmenter=}"
            )
        for name, value in (
            ("symmetric", symmetric),
            ("synchronized_batch_norm", synchronized_batch_norm),
        ):
            if not isinstance(value, bool):
                raise ValueError(
                    f"Argument `{name}` must be True or False. Received: {name}={value!r}"
                )
        kwargs.setdefault("dtype", "float32")
        parts = (backbone, projector, predictor)
        super().__init__(*parts, teacher_momentum, synchronized_batch_norm, **kwargs)
        self.query_augmenter = query_augmenter
        self.key_augmenter = key_augmenter
        self.seed = seed
        self.symmetric = symmetric
        self.two_views = query_augmenter and TwoViews(query_augmenter, key_augmenter, seed)
        self.embedding_std = keras.metrics.Mean(name="embedding_std")

    @classmethod
    def from_recipe(cls, name, input_shape=None, backbone=None, **kwargs):
        """Builds the model of a recipe: backbone, heads, and what else its method takes.

        `keras_isd.optimizers.from_recipe` gives the optimizer that goes with it.

        Args:
            name: name of a recipe of this method. Of ISD `"resnet50"` (the authors' "ISD+"),
                `"resnet18"`, and `"cifar_resnet18"` for small images; `keras_isd.recipes` has all.
            input_shape: `(height, width, channels)`, instead of the recipe's.
            backbone: built `keras.Model`, instead of the recipe's; the heads take
                its width.
            **kwargs: arguments of the model, instead of the recipe's.

        Returns:
            A model, not yet compiled.

        Raises:
            ValueError: if there is no recipe of that name, or it is another method's, or both
                `input_shape` and `backbone` are given.

        Example:

        >>> model = keras_isd.ISDModel.from_recipe("resnet18", (64, 64, 3), queue_size=1024)
        >>> model.embedding_dim
        512
        """
        recipe = get_recipe(name)
        if recipe.method not in (base.__name__ for base in cls.__mro__):
            raise ValueError(
                f"Recipe {name!r} is one of {recipe.method}. Received: {cls.__name__}.from_recipe("
                f"{name!r})"
            )
        parts = build_parts(recipe, input_shape, backbone)
        return cls(**{**recipe.model, **parts, **kwargs})

    # Training

    def call(self, inputs, training=False):
        if not isinstance(inputs, dict):
            return self.student_backbone(inputs, training=training)
        if "images" in inputs:
            inputs = self.two_views(inputs["images"], training=training)
        pairs = [("query", "key")]
        if self.symmetric and training:
            pairs.append(("key", "query"))
        queries = [self.embed_query(inputs[query], training=training) for query, _ in pairs]
        keys = [self.embed_key(inputs[key], training=training) for _, key in pairs]
        return {"query": self._by_image(queries), "key": self._by_image(keys)}

    def _by_image(self, embeddings):
        """The rows of one or several `(B, D)`, those of an image next to one another.

        In this order replicas that share a batch queue their keys as one device would.
        """
        return ops.reshape(ops.stack(embeddings, axis=1), (-1, self.embedding_dim))

    def of_pairs(self, values, training):
        """`values` `(B,)` of the images, or None, for each row of embeddings in `compute_loss`."""
        if values is None or not (self.symmetric and training):
            return values
        return ops.repeat(values, 2)

    def compile(self, optimizer="sgd", loss=None, **kwargs):
        """Configures training. See `keras.Model.compile`; `loss` is the method's own.

        Under a mixed_float16 policy of any sub-model the optimizer is wrapped in
        `keras.optimizers.LossScaleOptimizer`, as Keras does for mixed models. The
        optimizer's variables are created here, so that `load_weights` finds them.
        """
        own = {"loss": loss, **{name: kwargs.get(name) for name in ("metrics", "weighted_metrics")}}
        for name, value in own.items():
            if value is not None:
                raise ValueError(
                    f"{type(self).__name__} computes its own loss and metrics: leave `{name}` out. "
                    f"Received: {name}={value}"
                )
        optimizer = keras.optimizers.get(optimizer)
        half = any(part.dtype_policy.name == "mixed_float16" for part in self._flatten_layers())
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if half and not scaled and kwargs.get("auto_scale_loss", True):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        backend.replicas.check_compile(self, {"optimizer": optimizer, **kwargs})
        super().compile(optimizer=optimizer, **kwargs)
        self.follow_freezing()
        if not optimizer.built:
            optimizer.build(self.trainable_variables)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=False):
        raise NotImplementedError(f"{type(self).__name__} must define `compute_loss`.")

    def mean_loss(self, per_image, sample_weight=None):
        """The loss of a batch, of those of its images `(B,)`, weighted by `sample_weight` `(B,)`.

        Of a symmetric method `per_image` is of pairs, `(2 B,)`, and an image's loss their mean.

        It is their mean, and losses of the sub-models, such as regularizers, are added. In a step
        of a `tf.distribute` strategy it is, as Keras wants it, each replica's share of the loss of
        the whole batch: equal on all, with gradients that add up to the whole's.
        """
        if sample_weight is not None:
            per_image = ops.reshape(per_image, (ops.shape(sample_weight)[0], -1))
            per_image = ops.mean(per_image, axis=1) * ops.cast(sample_weight, per_image.dtype)
        count = backend.replicas.total(ops.cast(ops.size(per_image), "float32"))
        own = ops.sum(per_image) / count
        replicas = backend.replicas.count()
        share = backend.replicas.total(ops.stop_gradient(own)) / replicas
        loss = own + ops.stop_gradient(share - own)
        for extra in self.losses:
            loss = loss + ops.sum(extra) / replicas
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        queries = backend.replicas.gather(ops.stop_gradient(y_pred["query"]))
        self.embedding_std.update_state(ops.std(queries, axis=0))
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def guarded_variables(self):
        """What a step with a non-finite loss must leave as it was; queues guard themselves."""
        queues = [part for part in self._flatten_layers() if isinstance(part, MemoryQueue)]
        queued = {id(v) for queue in queues for v in queue.variables}
        own = [v for v in self.variables if id(v) not in queued]
        return [*own, *self.optimizer.variables]

    def is_healthy(self, loss):
        """Whether this loss and those of the epoch so far are finite, for a queue to be told."""
        healthy = ops.isfinite(loss)
        if self.compiled:
            healthy = ops.logical_and(healthy, ops.isfinite(self._loss_tracker.total))
        return healthy

    # Saving

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "backbone": serialize(self.student_backbone),
            "projector": serialize(self.projector),
            "predictor": serialize(self.predictor),
            "teacher_momentum": serialize(self.teacher_momentum),
            "query_augmenter": serialize(self.query_augmenter),
            "key_augmenter": serialize(self.key_augmenter),
            "seed": self.seed,
            "synchronized_batch_norm": self.synchronized_batch_norm,
            "symmetric": self.symmetric,
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        names = ("backbone", "projector", "predictor", "query_augmenter", "key_augmenter")
        parts = {name: deserialize(config[name]) for name in names}
        return cls(**{**config, **parts})
