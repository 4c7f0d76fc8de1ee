"""Layers: the queue, the frozen teacher and its centring, batch normalisation, and views."""

from keras_isd.layers.batch_normalization import BatchNormalization
from keras_isd.layers.centering import Centering
from keras_isd.layers.frozen_teacher import FrozenTeacher
from keras_isd.layers.memory_queue import MemoryQueue
from keras_isd.layers.two_views import TwoViews

__all__ = ["BatchNormalization", "Centering", "FrozenTeacher", "MemoryQueue", "TwoViews"]
