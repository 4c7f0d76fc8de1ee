"""A student and its teacher: two networks, of which one follows the other."""

import keras
from keras import ops

from keras_isd import backend, submodels
from keras_isd.schedules import fraction_or_schedule


class StudentAndTeacher(keras.Model):
    """The networks of a `MomentumModel`, where they are documented, and what moves the teacher."""

    def __init__(
        self, backbone, projector, predictor, teacher_momentum, synchronized_batch_norm, **kwargs
    ):
        teacher_momentum = fraction_or_schedule("teacher_momentum", teacher_momentum)
        embedding_dim = submodels.check_chain(backbone, projector, predictor)
        super().__init__(**kwargs)
        self.embedding_dim = embedding_dim
        self.teacher_momentum = teacher_momentum
        self.synchronized_batch_norm = synchronized_batch_norm
        for part in (backbone, projector, predictor):
            if synchronized_batch_norm and part is not None:
                backend.replicas.synchronize_batch_norm(part)  # the copies below take it over
        self.student_backbone = backbone
        self.projector = projector
        self.predictor = predictor
        self.teacher_backbone = submodels.copy(backbone, name="teacher_backbone")
        self.teacher_projector = submodels.copy(projector, name="teacher_projector")
        self.built = True
        self._freeze_teacher()

    def embed_query(self, images, training=False):
        """The student's embeddings of images, `(B, D)`, unit rows."""
        student = (self.student_backbone, self.projector, self.predictor)
        return submodels.embed(student, images, training)

    def embed_key(self, images, training=False):
        """The teacher's embeddings of images, `(B, D)`, unit rows, without gradient."""
        teacher = (self.teacher_backbone, self.teacher_projector)
        return ops.stop_gradient(submodels.embed(teacher, images, training))

    def update_teacher(self):
        """Moves the teacher's parameters towards the student's, once."""
        momentum = self.teacher_momentum
        if callable(momentum):
            momentum = momentum(getattr(self._base_optimizer, "iterations", 0))
        if accumulation_steps := getattr(self._base_optimizer, "gradient_accumulation_steps", None):
            starts_update = self._base_optimizer._iterations % accumulation_steps == 0
            momentum = ops.where(starts_update, momentum, 1.0)
        for student, teacher in self._parameter_pairs():
            teacher.assign(teacher * momentum + student * (1.0 - momentum))

    def _parameter_pairs(self):
        """Pairs of the student's and the teacher's parameters."""
        yield from submodels.parameter_pairs(self.student_backbone, self.teacher_backbone)
        yield from submodels.parameter_pairs(self.projector, self.teacher_projector)

    def follow_freezing(self):
        """Freezes in the teacher the layers that are frozen in the student."""
        submodels.follow_freezing(self.student_backbone, self.teacher_backbone)
        submodels.follow_freezing(self.projector, self.teacher_projector)
        self._freeze_teacher()

    def _freeze_teacher(self):
        # Variable by variable: a layer that is frozen whole, if it is batch normalisation, would
        # run on its moving statistics.
        for _, variable in self._parameter_pairs():
            variable.trainable = False

    @property
    def trainable(self):
        return super().trainable

    @trainable.setter
    def trainable(self, value):
        keras.Model.trainable.fset(self, value)
        self._freeze_teacher()

    @property
    def _base_optimizer(self):
        optimizer = getattr(self, "optimizer", None)  # None before `compile`
        return getattr(optimizer, "inner_optimizer", optimizer)
