"""Losses: similarity distillation (ISD) and InfoNCE (MoCo)."""

from keras_isd.losses.distillation import (
    BLOCK_SIZE,
    STREAM_ABOVE,
    Distillation,
    similarity_distillation,
)
from keras_isd.losses.info_nce import contrastive, nearest_anchors

__all__ = [
    "BLOCK_SIZE",
    "STREAM_ABOVE",
    "Distillation",
    "contrastive",
    "nearest_anchors",
    "similarity_distillation",
]
