"""Optimizers and schedules: PyTorch's SGD, learning rates with warm-up, and rising momentum."""

from keras_isd.optimizers.recipe_optimizer import from_recipe
from keras_isd.optimizers.schedules import (
    OneMinus,
    PerEpoch,
    WarmUp,
    epoch_cosine,
    epoch_steps,
    momentum_cosine,
)
from keras_isd.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "OneMinus",
    "PerEpoch",
    "WarmUp",
    "epoch_cosine",
    "epoch_steps",
    "from_recipe",
    "momentum_cosine",
]
