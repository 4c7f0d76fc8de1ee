"""The recipes of MoCo v2, BYOL and MSF: their differences from the common bases of ISD's."""

from keras_isd.augmentation import strong
from keras_isd.baselines.byol import BYOLModel
from keras_isd.baselines.moco import MoCoModel
from keras_isd.baselines.msf import MSFModel
from keras_isd.heads import mlp
from keras_isd.models.recipes import PHOTOGRAPHS, SMALL_IMAGES, register_difference


def projector_of_moco(width):
    """MoCo v2's head: F to F to 128, without batch normalisation."""
    return {"projector": mlp(width, width, 128, batch_norm=False, name="projector")}


def _moco(queue_size, temperature, teacher_momentum):
    return {
        "queue_size": queue_size,
        "temperature": temperature,
        "teacher_momentum": teacher_momentum,
        "shuffle_groups": 8,
    }


# MoCo v2: facebookresearch's main_moco.py --mlp --moco-t 0.2 --aug-plus --cos.
register_difference(
    "moco_resnet50",
    PHOTOGRAPHS,
    learning_rate=0.03,
    method=MoCoModel,
    heads=projector_of_moco,
    model=_moco(65536, 0.2, 0.999),
    views=(strong, strong),
)
# Their demonstration on CIFAR-10, which has batches of 512 at twice this learning rate.
register_difference(
    "moco_cifar_resnet18",
    SMALL_IMAGES,
    learning_rate=0.03,
    method=MoCoModel,
    heads=projector_of_moco,
    model=_moco(4096, 0.1, 0.99),
)
# train_byol_aug.py with the arguments of run_byol.sh, except for its views.
_BYOL = {"method": BYOLModel, "model": {"teacher_momentum": 0.99}}
register_difference("byol_resnet50", PHOTOGRAPHS, **_BYOL)
register_difference("byol_cifar_resnet18", SMALL_IMAGES, **_BYOL)
# train_msf.py with the arguments of its README, and a bank of 131,072 instead of 128,000.
register_difference(
    "msf_resnet50",
    PHOTOGRAPHS,
    method=MSFModel,
    model={"queue_size": 131072, "num_neighbors": 10, "teacher_momentum": 0.99},
)
register_difference(
    "msf_cifar_resnet18",
    SMALL_IMAGES,
    method=MSFModel,
    model={"queue_size": 4096, "num_neighbors": 5, "teacher_momentum": 0.99},
)
