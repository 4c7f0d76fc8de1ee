"""Backbones: Keras models from images `(B, H, W, C)` to features `(B, F)`."""

from keras_isd.backbones.convnet import ConvNet
from keras_isd.backbones.plain_keras import to_plain_keras
from keras_isd.backbones.resnet import ResNet18, ResNet34, ResNet50
from keras_isd.backbones.stages import feature_maps

__all__ = ["ConvNet", "ResNet18", "ResNet34", "ResNet50", "feature_maps", "to_plain_keras"]
