"""The training step of a student and its momentum teacher, in the paper's order."""

import functools

import keras
from keras import ops

from keras_isd import backend
from keras_isd.augmentation.layer_chain import as_view
from keras_isd.compat.float32 import in_float32
from keras_isd.compat.keras_internals import (
    all_layers,
    base_optimizer,
    batch_counter,
    epoch_loss,
    optimized_variables,
)
from keras_isd.layers import TwoViews
from keras_isd.models import encoder
from keras_isd.models.teacher import clone, freeze, match_freezing, pair_parameters, reseed
from keras_isd.models.validated_model import ValidatedModel
from keras_isd.optimizers.schedules import fraction_or_schedule
from keras_isd.recipes import build_parts, get_recipe
from keras_isd.validation.arguments import check_bool, check_natural, check_positive_integer
from keras_isd.validation.batches import check_shapes, check_two_views

PIXELS = ("height", "width", "channels")  # the axes of an image


class MomentumModel(ValidatedModel):
    """Base class of methods in which a student learns from its own moving average.

    The student is a backbone, a projector and a predictor. The teacher is a copy
    of the backbone and the projector, whose parameters follow the student's:
    `teacher = momentum * teacher + (1 - momentum) * student` at the start of every
    training step. The teacher's batch normalisation runs on batch statistics while
    training, and its moving statistics follow its own batches; they are not averaged.

    A subclass defines `compute_loss`, which receives as `y_pred` the embeddings of
    the two views, `{"query": (B, D), "key": (B, D)}`, unit rows in float32; with several student
    views each key has `queries_per_key` queries, next to each other. `fit` logs
    `loss` and `embedding_std`, the standard deviation of a coordinate of the student's
    embeddings: about `1 / sqrt(D)` in a healthy run, 0 in a collapse.

    Called on images, the model returns the student's features `(B, F)`, and so does
    `predict`; called on `{"query", "key"}`, it returns the embeddings of the two views.

    `fit` takes batches of `{"query": (B, H, W, C), "key": (B, H, W, C)}`, or a pair
    of that and integer labels `(B,)`, -1 for unknown, which are used for metrics only.
    With a `query_augmenter` and a `key_augmenter` it also takes plain images
    `(B, H, W, C)` in the augmenters' value range, and makes both views itself, on the
    accelerator; `predict` still takes the backbone's input, such as
    `keras_isd.augmentation.evaluation` makes.

    With `query_views=n` a batch has n views of each image for the student, `"query"`
    `(B, n, H, W, C)`, and with `small_views=s` also s smaller ones, `"small"` `(B, s, h, w, C)`:
    all of them share the image's key. A small view of half the side costs about a third of a view,
    and usually shows less of an image than its key. With `key_views=m` the key is the mean of
    the teacher's embeddings of m views, `"key"` `(B, m, H, W, C)`.

    A training step whose loss is not finite changes nothing, and `fit` then stops
    with an error that names the step.

    With `gradient_accumulation_steps=n` the teacher moves once per update of the
    student, at the first of its n batches, as it would with one batch of n times the
    size. Steps that float16 loss scaling skips are not counted.

    Layers that are frozen in the student at compilation are frozen in the teacher too.

    Args:
        backbone: built `keras.Model`, images `(B, H, W, C)` to features `(B, F)`.
        projector: built `keras.Model`, `(B, F)` to `(B, D)`. Defaults to None (D = F).
        predictor: built `keras.Model`, `(B, D)` to `(B, D)`. Defaults to None.
        teacher_momentum: float in `[0, 1]`, or a schedule of it over the number of updates, such as
            `keras_isd.optimizers.momentum_cosine(0.99, total_steps)`. Defaults to 0.99.
        query_views, key_views: ints >= 1, the number of views of each image for the student and for
            the teacher. Default to 1.
        small_views: int, the number of small student views of each image. Defaults to 0.
        small_query_augmenter: `keras_isd.augmentation.Augmenter`, or Keras layers, for small views
            made inside the training step. Defaults to None.
        query_augmenter, key_augmenter: `keras_isd.augmentation.Augmenter`s, or Keras layers or
            lists of them, for views made inside the training step; both or neither. Defaults to
            None.
        seed: int, the seed of these views, or None. Defaults to None.
        synchronized_batch_norm: bool, whether batch normalisation in all sub-models uses the
            statistics of the whole batch under a `tf.distribute` strategy, or in several PyTorch
            processes, instead of those of a replica's part. On JAX it always does. Defaults to
            False.
        symmetric: bool, whether in training each view serves once as query and once as key, at
            nearly twice the cost. `compute_loss` then receives two keys of each image, next to each
            other, and small views are compared with both. It excludes several queries or keys.
            Defaults to False.
        **kwargs: `name`, and `dtype`, which defaults to float32: mixed precision is set for the
            sub-models.

    Attributes:
        student_backbone, projector, predictor: the sub-models given.
        teacher_backbone, teacher_projector: their frozen copies.
        embedding_dim: int, D.

    Raises:
        ValueError: if a sub-model is not built, or its output has a wrong rank or a
            width that does not fit the next, `teacher_momentum` is outside `[0, 1]`,
            one augmenter is given without the others, or `symmetric` with several queries or keys.

    Source: `ISD.__init__` and `_momentum_update_key_encoder` in the authors'
    `train_isd_plus.py`; He et al., "Momentum Contrast", 2020, for the update; Caron et al., SwAV,
    2020, for small views; Pototzky et al., FastSiam, 2022, for the mean of several keys.

    Example of a method without a queue (BYOL's loss):

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
        query_views=1,
        small_views=0,
        key_views=1,
        small_query_augmenter=None,
        **kwargs,
    ):
        check_bool("symmetric", symmetric)
        check_positive_integer("query_views", query_views)
        check_positive_integer("key_views", key_views)
        check_natural("small_views", small_views)
        if symmetric and (query_views, key_views) != (1, 1):
            raise ValueError(
                "Argument `symmetric` must be False with several queries or keys. "
                f"Received: symmetric=True, {query_views=}, {key_views=}"
            )
        check_bool("synchronized_batch_norm", synchronized_batch_norm)
        teacher_momentum = fraction_or_schedule("teacher_momentum", teacher_momentum)
        embedding_dim = encoder.check_chain(backbone, projector, predictor)
        super().__init__(**{"dtype": "float32", **kwargs})
        self.embedding_dim = embedding_dim
        self.teacher_momentum = teacher_momentum
        self.synchronized_batch_norm = synchronized_batch_norm
        for part in (backbone, projector, predictor):
            if synchronized_batch_norm and part is not None:
                backend.synchronize_batch_norm(part)  # the copies below inherit it
        # `Resume` numbers the variables in the order in which these are set.
        self.student_backbone = backbone
        self.projector = projector
        self.predictor = predictor
        self.make_teacher()
        self.built = True
        freeze(self.parameter_pairs())
        self.query_augmenter = as_view(query_augmenter)
        self.key_augmenter = as_view(key_augmenter)
        self.seed = seed
        self.symmetric = symmetric
        self.query_views = query_views
        self.small_views = small_views
        self.key_views = key_views
        self.small_query_augmenter = as_view(small_query_augmenter)
        self.two_views = self.make_views()
        self.embedding_std = keras.metrics.Mean(name="embedding_std", dtype="float32")

    @classmethod
    def from_recipe(cls, name, input_shape=None, backbone=None, **kwargs):
        """Builds the model of a recipe: backbone, heads, and the arguments of its method.

        `keras_isd.optimizers.from_recipe` makes the optimizer of the same recipe.

        Args:
            name: name of a recipe of this method. ISD has `"resnet50"` (the authors' "ISD+"),
                `"resnet18"`, and `"cifar_resnet18"` for small images; `keras_isd.recipes` lists
                all.
            input_shape: `(height, width, channels)`. Defaults to the recipe's.
            backbone: built `keras.Model`, to which the heads are fitted. Defaults to the recipe's.
            **kwargs: arguments of the model that replace the recipe's.

        Returns:
            A model, not yet compiled.

        Raises:
            ValueError: if the recipe is unknown or belongs to another method, or both `input_shape`
                and `backbone` are given.

        Example:

        >>> model = keras_isd.ISDModel.from_recipe("resnet18", (64, 64, 3), queue_size=1024)
        >>> model.embedding_dim
        512
        """
        recipe = get_recipe(name)
        if not cls.takes_recipe(recipe):
            raise ValueError(
                f"Argument `name` must be a recipe of {cls.__name__}. "
                f"Received: {name=}, a recipe of {recipe.method.__name__}"
            )
        parts = build_parts(recipe, input_shape, backbone)
        return cls(**{**recipe.model, **parts, **kwargs})

    @classmethod
    def takes_recipe(cls, recipe):
        """Whether a recipe belongs to this method or to one of its base classes."""
        return issubclass(cls, recipe.method)

    def make_teacher(self):
        """Creates the teacher's networks: copies of the student's backbone and projector."""
        self.teacher_backbone = clone(self.student_backbone, name="teacher_backbone")
        self.teacher_projector = clone(self.projector, name="teacher_projector")
        for part in (self.teacher_backbone, self.teacher_projector):
            if part is not None:
                reseed(part)

    def make_views(self):
        """Creates the layer that makes views of plain images; None without augmenters."""
        if (self.query_augmenter is None) != (self.key_augmenter is None):
            raise ValueError(
                "Arguments `query_augmenter` and `key_augmenter` must be given together. Received: "
                f"query_augmenter={self.query_augmenter}, key_augmenter={self.key_augmenter}"
            )
        self._check_small_augmenter()
        return self.query_augmenter and self.make_view_layer(self.key_augmenter)

    def make_view_layer(self, key_augmenter):
        """Creates the layer with this model's numbers of views; the key's augmenter may be None."""
        return TwoViews(
            self.query_augmenter,
            key_augmenter,
            self.seed,
            self.query_views,
            encoder.channels(self.student_backbone),
            self.small_query_augmenter,
            self.small_views,
            self.key_views,
        )

    def _check_small_augmenter(self):
        has_small = self.query_augmenter is not None and self.small_views > 0
        if has_small != (self.small_query_augmenter is not None):
            raise ValueError(
                "Argument `small_query_augmenter` must be given with `query_augmenter` and "
                "`small_views`, and not without them. Received: "
                f"small_query_augmenter={self.small_query_augmenter}, "
                f"query_augmenter={self.query_augmenter}, small_views={self.small_views}"
            )

    # The training step, in the paper's order

    @in_float32
    def train_step(self, *state_and_batch):  # on JAX Keras passes its state before the batch
        """Runs steps 1 to 5; if the loss is not finite, undoes them.

        1. The teacher moves towards the student: `update_teacher`.
        2. The student embeds the query, the teacher embeds the key: `call`.
        3. The method compares the two: `compute_loss`.
        4. If the method has a queue, the keys enter it: `QueueModel.enqueue`.
        5. The optimizer updates the student: Keras' own step, which also calls 2 to 4.
        """
        *state, batch = state_and_batch
        batch = self.checked(batch)  # before anything moves
        return backend.guarded_step(self, self.update_teacher, super().train_step, *state, batch)

    @in_float32
    def update_teacher(self):
        """Step 1: moves the teacher's parameters towards the student's."""
        momentum = self.teacher_momentum
        optimizer = base_optimizer(self)
        if callable(momentum):
            momentum = momentum(getattr(optimizer, "iterations", 0))
        if accumulation_steps := getattr(optimizer, "gradient_accumulation_steps", None):
            starts_update = batch_counter(optimizer) % accumulation_steps == 0
            momentum = ops.where(starts_update, momentum, 1.0)
        for student, teacher in self.parameter_pairs():
            teacher.assign(teacher * momentum + student * (1.0 - momentum))

    @in_float32
    def call(self, inputs, training=False):
        """Step 2: embeds the two views; for plain images returns the student's features."""
        if not isinstance(inputs, dict):
            return self.student_backbone(inputs, training=training)
        if "images" in inputs:
            inputs = {**inputs, **self.two_views(inputs["images"], training=training)}
        pairs = [("query", "key")]
        if self.symmetric and training:
            pairs.append(("key", "query"))
        queries = [
            self._embed_views(self.embed_query, inputs[query], self.query_views, training)
            for query, _ in pairs
        ]
        if self.small_views:
            embed = functools.partial(self.embed_query, any_size=True)
            small = self._embed_views(embed, inputs["small"], self.small_views, training)
            queries = [ops.concatenate([query, small], axis=1) for query in queries]
        keys = [
            self._embed_views(self.embed_key, inputs[key], self.key_views, training)
            for _, key in pairs
        ]
        if self.key_views > 1:
            keys = [ops.normalize(ops.mean(k, axis=1, keepdims=True), axis=-1) for k in keys]
        return {"query": self.interleave(queries), "key": self.interleave(keys)}

    def _embed_views(self, embed, images, views, training):
        """Embeds `(B, H, W, C)`, or `(B, views, H, W, C)`, with a function: `(B, views, D)`."""
        if views > 1:
            images = ops.reshape(images, (-1, *ops.shape(images)[2:]))
        return ops.reshape(embed(images, training=training), (-1, views, self.embedding_dim))

    def embed_query(self, images, training=False, any_size=False):
        """Embeds images with the student: `(B, D)`, unit rows; small views have `any_size`."""
        student = (self.student_backbone, self.projector, self.predictor)
        return encoder.embed(student, images, training, any_size)

    def embed_key(self, images, training=False):
        """Embeds images with the teacher: `(B, D)`, unit rows, without gradient."""
        teacher = (self.teacher_backbone, self.teacher_projector)
        return ops.stop_gradient(encoder.embed(teacher, images, training))

    def interleave(self, embeddings):
        """Joins one or several `(B, n, D)` so that the rows of an image are next to each other.

        In this order replicas that share a batch enqueue their keys as one device would.
        """
        return ops.reshape(ops.concatenate(embeddings, axis=1), (-1, self.embedding_dim))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=False):
        """Steps 3 and 4, which each method defines."""
        raise NotImplementedError(f"{type(self).__name__} must define `compute_loss`.")

    # Building blocks for losses and metrics

    def repeat_for_keys(self, values, training):
        """Repeats `values` `(B,)` of images for each of their keys; None stays None."""
        keys = self.keys_per_image(training)
        return values if values is None or keys == 1 else ops.repeat(values, keys)

    def keys_per_image(self, training):
        """The number of keys that `compute_loss` receives for each image."""
        return 2 if self.symmetric and training else 1

    @property
    def queries_per_key(self):
        """The number of queries that `compute_loss` receives for each key, next to each other."""
        return self.query_views + self.small_views

    def repeat_keys(self, keys):
        """Repeats rows of keys `(M, ...)` for each of their queries."""
        return keys if self.queries_per_key == 1 else ops.repeat(keys, self.queries_per_key, axis=0)

    def mean_loss(self, per_image, sample_weight=None):
        """Averages the losses of images `(B,)`, weighted by `sample_weight` `(B,)`.

        If `per_image` has several rows for each image, their mean is the image's loss. Losses of
        the sub-models, such as regularizers, are added. In a step of a `tf.distribute` strategy the
        result is each replica's share of the whole batch's loss: equal on all replicas, with
        gradients that add up to the whole batch's.
        """
        if sample_weight is not None:
            per_image = ops.reshape(per_image, (ops.shape(sample_weight)[0], -1))
            per_image = ops.mean(per_image, axis=1) * ops.cast(sample_weight, per_image.dtype)
        count = backend.all_sum(ops.cast(ops.size(per_image), "float32"))
        own = ops.sum(per_image) / count
        replicas = backend.replica_count()
        share = backend.all_sum(ops.stop_gradient(own)) / replicas
        loss = own + ops.stop_gradient(share - own)
        for extra in self.losses:
            loss = loss + ops.sum(extra) / replicas
        return backend.from_share(loss)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        queries = backend.all_gather(ops.stop_gradient(y_pred["query"]))
        self.embedding_std.update_state(ops.std(queries, axis=0))
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def guarded_variables(self):
        """The variables that a step with a non-finite loss must not change.

        Each is copied for the length of a step. A method leaves out variables that it guards
        itself, as `QueueModel` does for its queue.
        """
        return [*self.variables, *self.optimizer.variables]

    def is_healthy(self, loss):
        """Whether all losses of the epoch so far are finite: only then keys enter a queue."""
        healthy = ops.isfinite(loss)
        if self.compiled:
            healthy = ops.logical_and(healthy, ops.isfinite(epoch_loss(self)))
        return healthy

    def check_views(self, views):
        """Raises a ValueError unless the batch has the views that the model takes."""
        if self.query_views == self.key_views == 1 and not self.small_views:
            check_two_views(views)
            return
        check_shapes(views, self.wanted_views())

    def wanted_views(self):
        """The views of a batch, see `check_shapes`."""
        counts = {"query": self.query_views, "key": self.key_views, "small": self.small_views}
        return {
            name: ("images", ("batch", *((count,) if count > 1 else ()), *PIXELS))
            for name, count in counts.items()
            if count
        }

    def takes_plain_images(self):
        return self.two_views is not None

    def plain_value_range(self):
        return self.query_augmenter and self.query_augmenter.value_range

    # Compilation and freezing

    @in_float32
    def compile(self, optimizer="sgd", loss=None, **kwargs):
        """Configures training. See `keras.Model.compile`; the method computes its own loss.

        If any sub-model has a mixed_float16 policy, the optimizer is wrapped in
        `keras.optimizers.LossScaleOptimizer`, as Keras does for mixed models. The
        optimizer's variables are created here, so that `load_weights` finds them.
        """
        own = {"loss": loss, **{name: kwargs.get(name) for name in ("metrics", "weighted_metrics")}}
        for name, value in own.items():
            if value is not None:
                raise ValueError(
                    f"Argument `{name}` must not be given: {type(self).__name__} computes its own "
                    f"loss and metrics. Received: {name}={value}"
                )
        optimizer = keras.optimizers.get(optimizer)
        half = any(part.dtype_policy.name == "mixed_float16" for part in all_layers(self))
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if half and not scaled and kwargs.get("auto_scale_loss", True):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        self._check_optimizer(optimizer)
        backend.check_compile(self, {"optimizer": optimizer, **kwargs})
        super().compile(optimizer=optimizer, **kwargs)
        self.jit_compile_asked_for = kwargs.get("jit_compile", "auto")
        self.follow_freezing()
        if not optimizer.built:
            optimizer.build(self.trainable_variables)

    def _check_optimizer(self, optimizer):
        known = {id(variable) for variable in optimized_variables(optimizer)}
        if known and not known.issuperset(id(v) for v in self.trainable_variables):
            raise ValueError(
                "Argument `optimizer` must be new or built for this model. "
                f"Received: an optimizer built for other variables, {optimizer}"
            )

    def get_compile_config(self):
        """Like Keras', with `jit_compile` as it was given: `"auto"` depends on the machine."""
        config = super().get_compile_config()
        return {**config, "jit_compile": self.jit_compile_asked_for} if config else config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def parameter_pairs(self):
        """Yields pairs of the student's and the teacher's parameters."""
        yield from pair_parameters(self.student_backbone, self.teacher_backbone)
        yield from pair_parameters(self.projector, self.teacher_projector)

    def follow_freezing(self):
        """Freezes the teacher's layers that are frozen in the student."""
        match_freezing(self.student_backbone, self.teacher_backbone)
        match_freezing(self.projector, self.teacher_projector)
        freeze(self.parameter_pairs())

    @property
    def trainable(self):
        return super().trainable

    @trainable.setter
    def trainable(self, value):
        keras.Model.trainable.fset(self, value)
        freeze(self.parameter_pairs())

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
            "small_query_augmenter": serialize(self.small_query_augmenter),
            "query_views": self.query_views,
            "small_views": self.small_views,
            "key_views": self.key_views,
            "synchronized_batch_norm": self.synchronized_batch_norm,
            "symmetric": self.symmetric,
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        names = ("backbone", "projector", "predictor", "query_augmenter", "key_augmenter")
        parts = {name: deserialize(config[name]) for name in names}
        small = deserialize(config.get("small_query_augmenter"))  # None in files of version 0.1
        parts["small_query_augmenter"] = small
        return cls(**{**config, **parts})
