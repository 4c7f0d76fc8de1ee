"""Similarity distillation from a frozen teacher: CompRess and SEED."""

import keras
from keras import ops

from keras_isd.heads import linear
from keras_isd.layers import Centering, FrozenTeacher
from keras_isd.models import encoder
from keras_isd.models.isd_model import ISDModel
from keras_isd.models.momentum_model import PIXELS
from keras_isd.validation.arguments import to_finite_array
from keras_isd.validation.batches import check_shapes


@keras.saving.register_keras_serializable("keras_isd")
class DistillationModel(ISDModel):
    """Learns, without labels, the similarities between images from a frozen teacher.

    ISD's step, queue and loss with another teacher: a pretrained network that is not updated. Its
    embedding of an image is compared with its embeddings of recent images, the anchors; the student
    learns to produce the same similarities. In minutes a small network learns features for which
    ISD from scratch needs hundreds of epochs; they are at most about as good as the teacher's.

    The teacher's features are either computed in the step or given with the data:

    - With a `teacher` network, `fit` takes `{"query": (B, H, W, C), "key": (B, H', W', C')}`, the
      key as the teacher's input. With a `query_augmenter` and a `teacher_augmenter` both are made
      from plain images `(B, H, W, C)` in the step.
    - With an int D as `teacher`, the key is the teacher's features of the images, `(B, D)`,
      computed once beforehand by any network of any framework:
      `keras_isd.data.two_view_dataset(..., teacher_features=)`. The teacher does not run in
      training. With a `query_augmenter` the batches are
      `{"images": (B, H, W, C), "key": (B, D)}`.

    With `query_views=n` the queries are `(B, n, H, W, C)`: n views of each image share one key, and
    so do `small_views`. With `key_views=m` and given features the key is `(B, m, D)`, such as
    features of several crops, whose mean direction is used.

    Labels, metrics and `predict` are those of `ISDModel`.

    Args:
        backbone: built `keras.Model`, images `(B, H, W, C)` to features `(B, F)`: the student.
        teacher: built `keras.Model` from images to features `(B, D)`, of any architecture, input
            size, preprocessing and precision; or an int D, if its features come with the data.
        projector: built `keras.Model`, `(B, F)` to `(B, D)`. Defaults to None: a linear layer.
        predictor: built `keras.Model`, `(B, D)` to `(B, D)`. Defaults to None.
        queue_size: int >= 1, the number of anchors. Defaults to 4096.
        teacher_temperature, student_temperature: floats > 0. Both default to 0.05, the best of four
            pairs on CIFAR-10 with a centre; see the guide.
        teacher_center: the offset subtracted from the teacher's features: `"mean"` for their mean
            over training so far, or over the `anchors` if given; a `(D,)` array; or None. Without
            it non-negative features are all similar. Defaults to `"mean"`.
        anchors: `(K, D)` array, features of the teacher as fixed anchors, such as those of all
            images. Defaults to None: a queue of its recent features.
        query_augmenter: `keras_isd.augmentation.Augmenter`, for views made inside the step.
            Defaults to None.
        teacher_augmenter: the same for the teacher's images. Defaults to None.
        save_teacher: bool, whether a `.keras` file of this model includes the teacher. Otherwise a
            loaded model has none, and needs `attach_teacher` for further training. Defaults to
            False.
        **kwargs: `queue_dtype`, `queue_indices` and `own_key_anchor`, see `ISDModel`;
            `query_views`, `small_views`, `key_views`, `small_query_augmenter`, `seed`,
            `synchronized_batch_norm`, `name` and `dtype`, see `MomentumModel`.

    Attributes:
        teacher: `FrozenTeacher`, or None.
        center: `keras_isd.layers.Centering`, or None.
        student_backbone, projector, predictor, queue: see `ISDModel`.

    Raises:
        ValueError: if an argument is outside its range, or the parts' shapes do not fit together.

    Source: Koohpayegani et al., "CompRess: Self-Supervised Learning by Compressing
    Representations", 2020 (by ISD's authors), and Fang et al., "SEED", 2021.

    Example with a teacher's features of all images in an array:

    >>> images = np.random.randint(0, 256, (32, 8, 8, 3)).astype("uint8")
    >>> features = np.random.rand(32, 20).astype("float32")  # of any network
    >>> model = keras_isd.DistillationModel(
    ...     keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8)), teacher=20, queue_size=16,
    ...     query_augmenter=keras_isd.augmentation.weak(8))
    >>> model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9))
    >>> history = model.fit({"images": images, "key": features}, batch_size=8, verbose=0)
    >>> model.predict(images / 255.0, verbose=0).shape
    (32, 8)
    """

    def __init__(
        self,
        backbone,
        teacher,
        projector=None,
        predictor=None,
        queue_size=4096,
        teacher_temperature=0.05,
        student_temperature=0.05,
        teacher_center="mean",
        anchors=None,
        query_augmenter=None,
        teacher_augmenter=None,
        save_teacher=False,
        **kwargs,
    ):
        if kwargs.get("symmetric"):
            raise ValueError(
                "Argument `symmetric` must not be given: the teacher is another network, so query "
                "and key cannot be swapped. Use `query_views` for more views of each image. "
                f"Received: symmetric={kwargs['symmetric']}"
            )
        dim = encoder.feature_width("teacher", teacher)
        if projector is None:
            width = encoder.feature_width("backbone", backbone)
            layers = [keras.Input((width,)), linear(width, dim, name="projector_0")]
            projector = keras.Sequential(layers, name="projector")
        if anchors is not None:
            anchors = to_finite_array("anchors", anchors, (None, dim))
            queue_size = len(anchors)
        super().__init__(
            backbone,
            projector,
            predictor,
            queue_size,
            teacher_temperature=teacher_temperature,
            student_temperature=student_temperature,
            teacher_momentum=1.0,
            query_augmenter=query_augmenter,
            key_augmenter=teacher_augmenter,
            **kwargs,
        )
        encoder.check_width("projector", self.embedding_dim, dim)
        self.center = _make_centering(teacher_center, dim, anchors)
        self.fixed_anchors = anchors is not None
        self.save_teacher = save_teacher
        self.teacher = None
        if isinstance(teacher, keras.Model):
            self.attach_teacher(teacher)
        if self.fixed_anchors:
            self.queue.embeddings.assign(self.embed_key(anchors))
            self.queue.filled.assign(queue_size)

    def attach_teacher(self, network):
        """Attaches a teacher to a model without one, such as a loaded model.

        Args:
            network: built `keras.Model`, images to features `(B, D)`.

        Raises:
            ValueError: if its features have another width, it shares variables with the student, or
                the model already has a teacher.
        """
        if self.teacher is not None:
            raise ValueError(
                "The teacher of a model cannot be replaced: make a new model for another teacher. "
                f"Received: {network.name}"
            )
        own = {id(variable) for variable in self.variables}
        if any(id(variable) in own for variable in network.variables):
            raise ValueError(
                "Argument `network` must not share variables with the student, which would be "
                "frozen with it: pass a copy, `keras.models.clone_model` with its weights. "
                f"Received: {network.name}"
            )
        width = encoder.feature_width("network", network)
        encoder.check_width("network", width, self.embedding_dim)
        self.teacher = FrozenTeacher(network, self.save_teacher)

    @classmethod
    def takes_recipe(cls, recipe):
        """Whether a recipe is for distillation; ISD's have heads of another width."""
        return issubclass(recipe.method, DistillationModel) and super().takes_recipe(recipe)

    # Differences from ISD: the teacher is frozen, and so are given anchors

    def make_teacher(self):
        self.teacher_backbone = self.teacher_projector = None

    def make_views(self):
        query, teacher = self.query_augmenter, self.key_augmenter
        if query is None and teacher is not None:
            raise ValueError(
                "Argument `teacher_augmenter` must be given together with `query_augmenter`. "
                f"Received: query_augmenter=None, teacher_augmenter={teacher}"
            )
        self._check_small_augmenter()
        return query and self.make_view_layer(teacher)

    def update_teacher(self):
        """Step 1: does nothing."""

    def embed_key(self, images, training=False):
        """Embeds images, or the teacher's features of them: `(B, D)`, unit rows."""
        teacher = None if len(images.shape) == 2 else self.teacher
        return ops.stop_gradient(encoder.embed((teacher, self.center), images, training))

    def enqueue(self, x, labels, keys, loss):
        """Step 4: enqueues each image's key once, unless the anchors are fixed."""
        if not self.fixed_anchors:
            super().enqueue(x, labels, keys, loss)

    def parameter_pairs(self):
        """No pairs: no parameter of the teacher follows one of the student."""
        return []

    def follow_freezing(self):
        """Does nothing: the whole teacher is frozen."""

    def _without_teacher(self, variables):
        frozen = {id(variable) for variable in (self.teacher.variables if self.teacher else ())}
        return [variable for variable in variables if id(variable) not in frozen]

    def guarded_variables(self):
        return self._without_teacher(super().guarded_variables())

    def state_variables(self):
        return self._without_teacher(super().state_variables())

    def check_views(self, views):
        """Raises a ValueError unless the batch has a query, and a key that the teacher accepts."""
        plain = self.query_augmenter is not None and "images" in views
        wanted = self.wanted_views()
        if plain:
            wanted = {"images": ("images", ("batch", *PIXELS)), "key": wanted["key"]}
        if self.teacher is None:
            batch = wanted["key"][1][: -len(PIXELS)]  # and several views, if there are any
            wanted["key"] = ("the teacher's features", (*batch, self.embedding_dim))
        if plain and self.key_augmenter is not None:
            del wanted["key"]
        check_shapes(views, wanted)

    def takes_plain_images(self):
        return self.key_augmenter is not None

    # Saving

    def get_config(self):
        config = super().get_config()
        for name in ("teacher_momentum", "symmetric"):
            del config[name]
        teacher_augmenter = config.pop("key_augmenter")
        teacher = self.embedding_dim
        if self.save_teacher and self.teacher is not None:
            teacher = keras.saving.serialize_keras_object(self.teacher.frozen_network())
        return {
            **config,
            "teacher": teacher,
            "teacher_center": self._center_config(),
            "fixed_anchors": self.fixed_anchors,
            "teacher_augmenter": teacher_augmenter,
            "save_teacher": self.save_teacher,
        }

    def _center_config(self):
        if self.center is None:
            return None
        return self.center.get_config()["center"] or "mean"

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        fixed_anchors = config.pop("fixed_anchors")
        names = ("backbone", "projector", "predictor", "teacher", "query_augmenter")
        for name in (*names, "teacher_augmenter", "small_query_augmenter"):
            if name in config:  # files of earlier versions have no small views
                config[name] = keras.saving.deserialize_keras_object(config[name])
        model = cls(**config)
        model.fixed_anchors = fixed_anchors  # the rows are loaded with the weights
        return model


def _make_centering(center, dim, anchors):
    """Makes the layer for a `teacher_center`, or None."""
    if center is None:
        return None
    if not isinstance(center, str):
        return Centering(dim, to_finite_array("teacher_center", center, (dim,)))
    if center != "mean":
        raise ValueError(
            'Argument `teacher_center` must be "mean", an array or None. '
            f"Received: teacher_center={center!r}"
        )
    return Centering(dim, None if anchors is None else anchors.mean(axis=0))
