"""Views of images, for tf.data and for the training step."""

from keras_isd.augmentation.augmenter import Augmenter
from keras_isd.augmentation.blur import GaussianBlur
from keras_isd.augmentation.color import ColorJitter, Grayscale, Solarize
from keras_isd.augmentation.geometry import (
    CentralCrop,
    HorizontalFlip,
    RandomAffine,
    RandomErasing,
    RandomOrientation,
    RandomResizedCrop,
)
from keras_isd.augmentation.image_normalization import NormalizeImage
from keras_isd.augmentation.intensity import (
    ChannelDropout,
    GammaJitter,
    IlluminationJitter,
    IntensityJitter,
    Normalize,
    Rescale,
)
from keras_isd.augmentation.noise import SensorNoise
from keras_isd.augmentation.policies import (
    CIFAR10,
    IMAGENET,
    evaluation,
    industry,
    microscopy,
    pathology,
    satellite,
    strong,
    weak,
)
from keras_isd.augmentation.stain import StainJitter

__all__ = [
    "CIFAR10",
    "IMAGENET",
    "AugmentationLayer",
    "Augmenter",
    "CentralCrop",
    "ChannelDropout",
    "ColorJitter",
    "GammaJitter",
    "GaussianBlur",
    "Grayscale",
    "HorizontalFlip",
    "IlluminationJitter",
    "IntensityJitter",
    "Normalize",
    "NormalizeImage",
    "RandomAffine",
    "RandomErasing",
    "RandomOrientation",
    "RandomResizedCrop",
    "Rescale",
    "SensorNoise",
    "Solarize",
    "StainJitter",
    "evaluation",
    "industry",
    "microscopy",
    "pathology",
    "satellite",
    "strong",
    "weak",
]


def __getattr__(name):
    if name == "AugmentationLayer":  # the only one that needs keras-cv, and so TensorFlow
        from keras_isd.augmentation.keras_cv_layer import AugmentationLayer

        return AugmentationLayer
    raise AttributeError(f"module 'keras_isd.augmentation' has no attribute {name!r}")
