"""The recipes: what the authors trained with, and its form for small images."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from keras_isd import backbones
from keras_isd.heads import mlp


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The choices that make a run.

    Attributes:
        backbone: function from an input shape to a backbone.
        input_shape: `(height, width, channels)` of a view.
        heads: function from the backbone's width F to `projector` and `predictor`.
        method: name of the class of the model.
        model: arguments of the model.
        sgd: arguments of `keras_isd.optimizers.SGD` but for the schedule.
        schedule: `"cosine"` or `"step"`, see `keras_isd.optimizers.from_recipe`.
        epochs, batch_size: int.
        views: names of the query's and the key's augmentation.
    """

    backbone: Callable[[tuple], Any]
    input_shape: tuple[int, int, int]
    heads: Callable[[int], dict]
    model: Mapping[str, Any]
    sgd: Mapping[str, float]
    schedule: str
    views: tuple[str, str]
    epochs: int = 200
    batch_size: int = 256
    method: str = "ISDModel"


def _projector_and_predictor(width):
    """Heads of "ISD+": F to 2F to F/4, and F/4 to 2F to F/4."""
    return {
        "projector": mlp(width, 2 * width, width // 4, name="projector"),
        "predictor": mlp(width // 4, 2 * width, width // 4, name="predictor"),
    }


def _predictor_alone(width):
    """Heads of the first ISD: no projector, a predictor F to F to F."""
    return {"predictor": mlp(width, width, width, hidden_bias=False, name="predictor")}


def _projector_of_moco(width):
    """MoCo v2's head: F to F to 128, without batch normalisation."""
    return {"projector": mlp(width, width, 128, batch_norm=False, name="projector")}


def _small_resnet18(input_shape):
    return backbones.ResNet18(input_shape, stem="small")


# The authors' queue of 128,000 becomes 131,072, since a power of two shards and tiles well.
RECIPES = {
    # train_isd_plus.py with its defaults and --cos --arch resnet50 --augmentation weak/strong
    "resnet50": Recipe(
        backbone=backbones.ResNet50,
        input_shape=(224, 224, 3),
        heads=_projector_and_predictor,
        model={
            "queue_size": 131072,
            "teacher_temperature": 0.01,
            "student_temperature": 0.1,
            "teacher_momentum": 0.99,
        },
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
        schedule="cosine",
        views=("strong", "weak"),
    ),
    # train_isd_r18.py as the commands in run_isd.sh call it
    "resnet18": Recipe(
        backbone=backbones.ResNet18,
        input_shape=(224, 224, 3),
        heads=_predictor_alone,
        model={
            "queue_size": 131072,
            "teacher_temperature": 0.02,
            "student_temperature": 0.02,
            "teacher_momentum": 0.999,
        },
        sgd={"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-4},
        schedule="step",
        views=("strong", "strong"),
    ),
    # Ours: ISD+ with more weight decay and a smaller queue for small images; views, momentum and
    # the teacher's temperature as tuned on held-out images of CIFAR-10 (RESULTS.md).
    "cifar_resnet18": Recipe(
        backbone=_small_resnet18,
        input_shape=(32, 32, 3),
        heads=_projector_and_predictor,
        model={
            "queue_size": 8192,
            "teacher_temperature": 0.02,
            "student_temperature": 0.1,
            "teacher_momentum": 0.95,
        },
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
        schedule="cosine",
        views=("strong", "strong"),
    ),
    # The two that the paper compares with, baselines of the same cost.
    # MoCo v2: facebookresearch's main_moco.py --mlp --moco-t 0.2 --aug-plus --cos
    "moco_resnet50": Recipe(
        method="MoCoModel",
        backbone=backbones.ResNet50,
        input_shape=(224, 224, 3),
        heads=_projector_of_moco,
        model={
            "queue_size": 65536,
            "temperature": 0.2,
            "teacher_momentum": 0.999,
            "shuffle_groups": 8,
        },
        sgd={"learning_rate": 0.03, "momentum": 0.9, "weight_decay": 1e-4},
        schedule="cosine",
        views=("strong", "strong"),
    ),
    # Their demonstration on CIFAR-10, of batches of 512 at twice this rate.
    "moco_cifar_resnet18": Recipe(
        method="MoCoModel",
        backbone=_small_resnet18,
        input_shape=(32, 32, 3),
        heads=_projector_of_moco,
        model={
            "queue_size": 4096,
            "temperature": 0.1,
            "teacher_momentum": 0.99,
            "shuffle_groups": 8,
        },
        sgd={"learning_rate": 0.03, "momentum": 0.9, "weight_decay": 5e-4},
        schedule="cosine",
        views=("strong", "strong"),
    ),
    # train_byol_aug.py as run_byol.sh calls it, but for its views
    "byol_resnet50": Recipe(
        method="BYOLModel",
        backbone=backbones.ResNet50,
        input_shape=(224, 224, 3),
        heads=_projector_and_predictor,
        model={"teacher_momentum": 0.99},
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
        schedule="cosine",
        views=("strong", "weak"),
    ),
    "byol_cifar_resnet18": Recipe(
        method="BYOLModel",
        backbone=_small_resnet18,
        input_shape=(32, 32, 3),
        heads=_projector_and_predictor,
        model={"teacher_momentum": 0.99},
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
        schedule="cosine",
        views=("strong", "strong"),
    ),
}


def get_recipe(name):
    """Returns the `Recipe` of a name, or raises a ValueError that lists the names.

    Example:

    >>> keras_isd.recipes.get_recipe("resnet50").batch_size
    256
    """
    if name not in RECIPES:
        raise ValueError(
            f"Argument `name` must be one of the recipes {sorted(RECIPES)}. Received: name={name!r}"
        )
    return RECIPES[name]


def build_parts(recipe, input_shape=None, backbone=None):
    """Builds backbone and heads of a recipe, as arguments of a model.

    Args:
        recipe: a `Recipe`.
        input_shape: `(height, width, channels)`, instead of the recipe's.
        backbone: built `keras.Model`, instead of the recipe's.

    Returns:
        Dict of `backbone`, `predictor` and, where the recipe has one, `projector`.

    Raises:
        ValueError: if both `input_shape` and `backbone` are given.
    """
    if backbone is None:
        backbone = recipe.backbone(input_shape or recipe.input_shape)
    elif input_shape is not None:
        raise ValueError(
            "Give `input_shape` or `backbone`, not both: a backbone has its own input shape. "
            f"Received: input_shape={input_shape}, backbone={backbone}"
        )
    return {"backbone": backbone, **recipe.heads(backbone.output_shape[-1])}
