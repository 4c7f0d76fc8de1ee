"""Self-supervised image features in Keras, by iterative similarity distillation."""

import importlib

from keras_isd import (
    augmentation,
    backbones,
    baselines,
    callbacks,
    evaluation,
    heads,
    interop,
    losses,
    optimizers,
    recipes,
    visualization,
)
from keras_isd.batch_normalization import BatchNormalization
from keras_isd.isd_model import ISDModel
from keras_isd.memory_queue import MemoryQueue
from keras_isd.momentum_model import MomentumModel
from keras_isd.queue_model import QueueModel
from keras_isd.version import __version__

# This room needs TensorFlow, which the rest does without on JAX and PyTorch.
_ON_FIRST_USE = ("data",)

__all__ = [
    "BatchNormalization",
    "ISDModel",
    "MemoryQueue",
    "MomentumModel",
    "QueueModel",
    "__version__",
    "augmentation",
    "backbones",
    "baselines",
    "callbacks",
    "data",
    "evaluation",
    "heads",
    "interop",
    "losses",
    "optimizers",
    "recipes",
    "visualization",
]


def __getattr__(name):
    if name in _ON_FIRST_USE:
        return importlib.import_module(f"keras_isd.{name}")
    raise AttributeError(f"module 'keras_isd' has no attribute {name!r}")
