"""The recipes of the methods that ISD is compared with, baselines of the same cost."""

from keras_isd.augmentation import strong, weak
from keras_isd.backbones import ResNet50
from keras_isd.baselines.byol import BYOLModel
from keras_isd.baselines.moco import MoCoModel
from keras_isd.baselines.msf import MSFModel
from keras_isd.heads import mlp
from keras_isd.models.recipes import projector_and_predictor, small_resnet18
from keras_isd.recipes import Recipe, register_recipe


def projector_of_moco(width):
    """MoCo v2's head: F to F to 128, without batch normalisation."""
    return {"projector": mlp(width, width, 128, batch_norm=False, name="projector")}


# MoCo v2: facebookresearch's main_moco.py --mlp --moco-t 0.2 --aug-plus --cos
register_recipe(
    "moco_resnet50",
    Recipe(
        method=MoCoModel,
        backbone=ResNet50,
        input_shape=(224, 224, 3),
        heads=projector_of_moco,
        model={
            "queue_size": 65536,
            "temperature": 0.2,
            "teacher_momentum": 0.999,
            "shuffle_groups": 8,
        },
        sgd={"learning_rate": 0.03, "momentum": 0.9, "weight_decay": 1e-4},
        schedule="cosine",
        views=(strong, strong),
    ),
)
# Their demonstration on CIFAR-10, of batches of 512 at twice this rate.
register_recipe(
    "moco_cifar_resnet18",
    Recipe(
        method=MoCoModel,
        backbone=small_resnet18,
        input_shape=(32, 32, 3),
        heads=projector_of_moco,
        model={
            "queue_size": 4096,
            "temperature": 0.1,
            "teacher_momentum": 0.99,
            "shuffle_groups": 8,
        },
        sgd={"learning_rate": 0.03, "momentum": 0.9, "weight_decay": 5e-4},
        schedule="cosine",
        views=(strong, strong),
    ),
)
# train_byol_aug.py as run_byol.sh calls it, but for its views
register_recipe(
    "byol_resnet50",
    Recipe(
        method=BYOLModel,
        backbone=ResNet50,
        input_shape=(224, 224, 3),
        heads=projector_and_predictor,
        model={"teacher_momentum": 0.99},
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
        schedule="cosine",
        views=(strong, weak),
    ),
)
register_recipe(
    "byol_cifar_resnet18",
    Recipe(
        method=BYOLModel,
        backbone=small_resnet18,
        input_shape=(32, 32, 3),
        heads=projector_and_predictor,
        model={"teacher_momentum": 0.99},
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
        schedule="cosine",
        views=(strong, strong),
    ),
)
# train_msf.py as its README calls it, with a bank of 131,072 instead of 128,000
register_recipe(
    "msf_resnet50",
    Recipe(
        method=MSFModel,
        backbone=ResNet50,
        input_shape=(224, 224, 3),
        heads=projector_and_predictor,
        model={"queue_size": 131072, "num_neighbors": 10, "teacher_momentum": 0.99},
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
        schedule="cosine",
        views=(strong, weak),
    ),
)
register_recipe(
    "msf_cifar_resnet18",
    Recipe(
        method=MSFModel,
        backbone=small_resnet18,
        input_shape=(32, 32, 3),
        heads=projector_and_predictor,
        model={"queue_size": 4096, "num_neighbors": 5, "teacher_momentum": 0.99},
        sgd={"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
        schedule="cosine",
        views=(strong, strong),
    ),
)
