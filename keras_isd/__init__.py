"""Self-supervised image features in Keras, by iterative similarity distillation."""

from keras_isd import (
    augmentation,
    backbones,
    baselines,
    callbacks,
    data,
    evaluation,
    exploration,
    heads,
    interop,
    layers,
    losses,
    models,
    optimizers,
    recipes,
    training,
    visualization,
)
from keras_isd.layers import BatchNormalization, MemoryQueue
from keras_isd.models import (
    DistillationModel,
    ISDModel,
    MomentumModel,
    NonFiniteLossError,
    QueueModel,
)
from keras_isd.version import __version__

__all__ = [
    "BatchNormalization",
    "DistillationModel",
    "ISDModel",
    "MemoryQueue",
    "MomentumModel",
    "NonFiniteLossError",
    "QueueModel",
    "__version__",
    "augmentation",
    "backbones",
    "baselines",
    "callbacks",
    "data",
    "evaluation",
    "exploration",
    "heads",
    "interop",
    "layers",
    "losses",
    "models",
    "optimizers",
    "recipes",
    "training",
    "visualization",
]
