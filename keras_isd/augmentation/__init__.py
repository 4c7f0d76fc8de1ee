"""Augmentation: the views of an image, as keras-cv layers for tf.data pipelines."""

from keras_isd.augmentation.recipes import CIFAR10, IMAGENET, evaluation, strong, weak

__all__ = ["CIFAR10", "IMAGENET", "evaluation", "strong", "weak"]
