"""Layers: the queue of anchors, PyTorch's batch normalisation, views made in the training step."""

from keras_isd.layers.batch_normalization import BatchNormalization
from keras_isd.layers.memory_queue import MemoryQueue
from keras_isd.layers.two_views import TwoViews

__all__ = ["BatchNormalization", "MemoryQueue", "TwoViews"]
