"""Layers: the queue, a frozen teacher, PyTorch's batch normalisation, views made in the step."""

from keras_isd.layers.batch_normalization import BatchNormalization
from keras_isd.layers.frozen_teacher import FrozenTeacher
from keras_isd.layers.memory_queue import MemoryQueue
from keras_isd.layers.two_views import TwoViews

__all__ = ["BatchNormalization", "FrozenTeacher", "MemoryQueue", "TwoViews"]
