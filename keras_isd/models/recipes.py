"""The recipes of ISD and of what differs from it in settings or in the teacher alone."""

from keras_isd.augmentation import evaluation, strong, weak
from keras_isd.backbones import ResNet18, ResNet50
from keras_isd.heads import mlp
from keras_isd.models.distillation_model import DistillationModel
from keras_isd.models.isd_model import ISDModel
from keras_isd.recipes import Recipe, register_recipe


def projector_and_predictor(width):
    """Heads of "ISD+": F to 2F to F/4, and F/4 to 2F to F/4."""
    return {
        "projector": mlp(width, 2 * width, width // 4, name="projector"),
        "predictor": mlp(width // 4, 2 * width, width // 4, name="predictor"),
    }


def predictor_alone(width):
    """Heads of the first ISD: no projector, a predictor F to F to F."""
    return {"predictor": mlp(width, width, width, hidden_bias=False, name="predictor")}


def projector_alone(width):
    """Head of ReSSL: F to 2F to F/4, without batch normalisation."""
    return {"projector": mlp(width, 2 * width, width // 4, batch_norm=False, name="projector")}


def no_heads(width):
    """Of distillation: the model makes its projector itself, as wide as the teacher's features."""
    return {}


def small_resnet18(input_shape):
    """ResNet-18 with the stem for small images."""
    return ResNet18(input_shape, stem="small")


# The authors' queue of 128,000 becomes 131,072, since a power of two shards and tiles well.
# train_isd_plus.py with its defaults and --cos --arch resnet50 --augmentation weak/strong
register_recipe(
    "resnet50",
    Recipe(
        method=ISDModel,
        backbone=ResNet50,
        input_shape=(224, 224, 3),
        heads=projector_and_predictor,
        model={
            "queue_size": 131072,
            "teacher_temperature": 0.01,
            "student_temperature": 0.1,
            "teacher_momentum": 0.99,
        },
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
        schedule="cosine",
        views=(strong, weak),
    ),
)
# train_isd_r18.py as the commands in run_isd.sh call it
register_recipe(
    "resnet18",
    Recipe(
        method=ISDModel,
        backbone=ResNet18,
        input_shape=(224, 224, 3),
        heads=predictor_alone,
        model={
            "queue_size": 131072,
            "teacher_temperature": 0.02,
            "student_temperature": 0.02,
            "teacher_momentum": 0.999,
        },
        sgd={"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-4},
        schedule="step",
        views=(strong, strong),
    ),
)
# Ours: ISD+ with more weight decay and a smaller queue for small images; views, momentum and
# the teacher's temperature as tuned on held-out images of CIFAR-10 (RESULTS.md).
register_recipe(
    "cifar_resnet18",
    Recipe(
        method=ISDModel,
        backbone=small_resnet18,
        input_shape=(32, 32, 3),
        heads=projector_and_predictor,
        model={
            "queue_size": 8192,
            "teacher_temperature": 0.02,
            "student_temperature": 0.1,
            "teacher_momentum": 0.95,
        },
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
        schedule="cosine",
        views=(strong, strong),
    ),
)
# ReSSL (Zheng et al., 2021) is ISD without a predictor, with a weak view for the teacher and softer
# targets: ressl.py with its defaults, but for five epochs of warm-up, for a cosine that moves with
# each step, and for weight decay, which theirs spares biases and batch normalisation.
register_recipe(
    "ressl_resnet50",
    Recipe(
        method=ISDModel,
        backbone=ResNet50,
        input_shape=(224, 224, 3),
        heads=projector_alone,
        model={
            "queue_size": 131072,
            "teacher_temperature": 0.04,
            "student_temperature": 0.1,
            "teacher_momentum": 0.999,
        },
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
        schedule="cosine",
        views=(strong, weak),
    ),
)
register_recipe(
    "ressl_cifar_resnet18",
    Recipe(
        method=ISDModel,
        backbone=small_resnet18,
        input_shape=(32, 32, 3),
        heads=projector_alone,
        model={
            "queue_size": 4096,
            "teacher_temperature": 0.04,
            "student_temperature": 0.1,
            "teacher_momentum": 0.99,
        },
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
        schedule="cosine",
        views=(strong, weak),
    ),
)
# Ours: a student of a frozen teacher, see docs/distillation.md. The second as tuned with a small
# network on held-out images of CIFAR-10 (RESULTS.md).
register_recipe(
    "distillation_resnet18",
    Recipe(
        method=DistillationModel,
        backbone=ResNet18,
        input_shape=(224, 224, 3),
        heads=no_heads,
        model={"queue_size": 4096, "teacher_temperature": 0.05, "student_temperature": 0.05},
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
        schedule="cosine",
        views=(strong, evaluation),
    ),
)
register_recipe(
    "distillation_cifar_resnet18",
    Recipe(
        method=DistillationModel,
        backbone=small_resnet18,
        input_shape=(32, 32, 3),
        heads=no_heads,
        model={"queue_size": 4096, "teacher_temperature": 0.05, "student_temperature": 0.05},
        sgd={"learning_rate": 0.2, "momentum": 0.9, "weight_decay": 5e-4},
        schedule="cosine",
        views=(strong, evaluation),
    ),
)
