"""What a benchmark of training steps is of: network, sizes, and the model that they make."""

import dataclasses

TEACHER_WIDTH = 1280  # of features beside the data


@dataclasses.dataclass(frozen=True)
class Setting:
    recipe: str
    script: str  # the authors' of the same heads
    batch_size: int
    queue_size: int
    image_size: int
    frozen: str | None = None  # a teacher's "features" or the "network" itself, of distillation
    network: str = "resnet18"  # the recipe's, as PyTorch's libraries call it


def make_model(setting, **kwargs):
    """The model of a setting, not yet compiled."""
    import keras_isd

    shape = (setting.image_size, setting.image_size, 3)
    kwargs |= {"queue_size": setting.queue_size, "input_shape": shape}
    if setting.frozen is None:
        return keras_isd.ISDModel.from_recipe(setting.recipe, **kwargs)
    teacher = TEACHER_WIDTH
    if setting.frozen == "network":
        teacher = keras_isd.backbones.ResNet18(shape, "small")
    return keras_isd.DistillationModel.from_recipe(setting.recipe, teacher=teacher, **kwargs)


def two_views(setting):
    """A batch of two views, or of one and features, as NumPy arrays."""
    import numpy as np
    from step_times import random_views

    views = random_views(setting.batch_size, setting.image_size, setting.image_size, 3)
    if setting.frozen == "features":
        views["key"] = np.random.rand(setting.batch_size, TEACHER_WIDTH).astype("float32")
    return views
