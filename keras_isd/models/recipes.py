"""The recipes of ISD, ReSSL and distillation, as differences from two common bases."""

import dataclasses

from keras_isd.augmentation import evaluation, strong, weak
from keras_isd.backbones import ResNet18, ResNet50
from keras_isd.heads import mlp
from keras_isd.models.distillation_model import DistillationModel
from keras_isd.models.isd_model import ISDModel
from keras_isd.recipes import Recipe, register_recipe


def projector_and_predictor(width, dim=None):
    """Heads of "ISD+": F to 2F to D, and D to 2F to D; D is F/4 if it is not given."""
    dim = dim or width // 4
    return {
        "projector": mlp(width, 2 * width, dim, name="projector"),
        "predictor": mlp(dim, 2 * width, dim, name="predictor"),
    }


def predictor_alone(width):
    """Head of the first ISD: a predictor F to F to F, no projector."""
    return {"predictor": mlp(width, width, width, hidden_bias=False, name="predictor")}


def projector_alone(width):
    """Head of ReSSL: a projector F to 2F to F/4 without batch normalisation."""
    return {"projector": mlp(width, 2 * width, width // 4, batch_norm=False, name="projector")}


def no_heads(width):
    """No heads: `DistillationModel` makes its own projector, as wide as the teacher's features."""
    return {}


def small_resnet18(input_shape):
    """ResNet-18 with the stem for small images."""
    return ResNet18(input_shape, stem="small")


PHOTOGRAPHS = Recipe(
    method=ISDModel,
    backbone=ResNet50,
    input_shape=(224, 224, 3),
    heads=projector_and_predictor,
    model={},
    sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
    schedule="cosine",
    views=(strong, weak),
)
SMALL_IMAGES = dataclasses.replace(
    PHOTOGRAPHS,
    backbone=small_resnet18,
    input_shape=(32, 32, 3),
    sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
    views=(strong, strong),
)


def register_difference(name, base, learning_rate=0.05, **differences):
    """Registers a recipe by its differences from another one."""
    sgd = {**base.sgd, "learning_rate": learning_rate}
    register_recipe(name, dataclasses.replace(base, sgd=sgd, **differences))


def _similarity(queue_size, teacher_temperature, student_temperature, teacher_momentum):
    return {
        "queue_size": queue_size,
        "teacher_temperature": teacher_temperature,
        "student_temperature": student_temperature,
        "teacher_momentum": teacher_momentum,
    }


# train_isd_plus.py with its defaults and --cos --arch resnet50 --augmentation weak/strong. The
# authors' queue of 128,000 becomes 131,072, since a power of two shards and tiles well.
register_difference("resnet50", PHOTOGRAPHS, model=_similarity(131072, 0.01, 0.1, 0.99))
# train_isd_r18.py with the arguments of run_isd.sh.
register_difference(
    "resnet18",
    PHOTOGRAPHS,
    learning_rate=0.01,
    backbone=ResNet18,
    heads=predictor_alone,
    model=_similarity(131072, 0.02, 0.02, 0.999),
    schedule="step",
    views=(strong, strong),
)
# Ours: ISD+ with more weight decay and a smaller queue for small images; views, momentum and the
# teacher's temperature were tuned on held-out images of CIFAR-10 (RESULTS.md).
register_difference("cifar_resnet18", SMALL_IMAGES, model=_similarity(8192, 0.02, 0.1, 0.95))
# ReSSL (Zheng et al., 2021) is ISD without a predictor, with a weak view for the teacher and softer
# targets: ressl.py with its defaults, without its five epochs of warm-up, its cosine by step, and
# its weight decay that spares biases and batch normalisation.
register_difference(
    "ressl_resnet50",
    PHOTOGRAPHS,
    heads=projector_alone,
    model=_similarity(131072, 0.04, 0.1, 0.999),
)
register_difference(
    "ressl_cifar_resnet18",
    SMALL_IMAGES,
    heads=projector_alone,
    model=_similarity(4096, 0.04, 0.1, 0.99),
    views=(strong, weak),
)
# Ours: a student of a frozen teacher, see docs/distillation.md. The second was tuned with a small
# network on held-out images of CIFAR-10 (RESULTS.md).
_DISTILLATION = {
    "method": DistillationModel,
    "heads": no_heads,
    "model": {"queue_size": 4096, "teacher_temperature": 0.05, "student_temperature": 0.05},
    "views": (strong, evaluation),
}
register_difference("distillation_resnet18", PHOTOGRAPHS, backbone=ResNet18, **_DISTILLATION)
register_difference("distillation_cifar_resnet18", SMALL_IMAGES, learning_rate=0.2, **_DISTILLATION)
