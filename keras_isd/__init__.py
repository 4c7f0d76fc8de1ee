"""Self-supervised image features in Keras, by iterative similarity distillation."""

from keras_isd import backbones, heads, losses, optimizers, recipes
from keras_isd.batch_normalization import BatchNormalization
from keras_isd.isd_model import ISDModel
from keras_isd.memory_queue import MemoryQueue
from keras_isd.momentum_model import MomentumModel
from keras_isd.version import __version__

__all__ = [
    "BatchNormalization",
    "ISDModel",
    "MemoryQueue",
    "MomentumModel",
    "__version__",
    "backbones",
    "heads",
    "losses",
    "optimizers",
    "recipes",
]
