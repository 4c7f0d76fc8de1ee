"""Views of images, for tf.data and for the training step."""

from keras_isd.augmentation.augmenter import Augmenter
from keras_isd.augmentation.blur import GaussianBlur
from keras_isd.augmentation.color import ColorJitter, Grayscale, Solarize
from keras_isd.augmentation.geometry import (
    CentralCrop,
    HorizontalFlip,
    RandomAffine,
    RandomResizedCrop,
)
from keras_isd.augmentation.intensity import IntensityJitter, Normalize, Rescale
from keras_isd.augmentation.policies import CIFAR10, IMAGENET, evaluation, strong, weak

__all__ = [
    "CIFAR10",
    "IMAGENET",
    "AugmentationLayer",
    "Augmenter",
    "CentralCrop",
    "ColorJitter",
    "GaussianBlur",
    "Grayscale",
    "HorizontalFlip",
    "IntensityJitter",
    "Normalize",
    "RandomAffine",
    "RandomResizedCrop",
    "Rescale",
    "Solarize",
    "evaluation",
    "strong",
    "weak",
]


def __getattr__(name):
    if name == "AugmentationLayer":  # the only one that needs keras-cv, and so TensorFlow
        from keras_isd.augmentation.keras_cv_layer import AugmentationLayer

        return AugmentationLayer
    raise AttributeError(f"module 'keras_isd.augmentation' has no attribute {name!r}")
