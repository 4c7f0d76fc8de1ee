"""Layers: the queue, a frozen teacher and its centre, batch normalisation, views in the step."""

from keras_isd.layers.batch_normalization import BatchNormalization
from keras_isd.layers.centering import Centering
from keras_isd.layers.frozen_teacher import FrozenTeacher
from keras_isd.layers.memory_queue import MemoryQueue
from keras_isd.layers.two_views import TwoViews

__all__ = ["BatchNormalization", "Centering", "FrozenTeacher", "MemoryQueue", "TwoViews"]
