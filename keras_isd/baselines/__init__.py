"""Baselines of ISD on the same student, teacher and queue: MoCo v2, BYOL and MSF."""

from keras_isd.baselines import recipes  # noqa: F401 (registers them)
from keras_isd.baselines.byol import BYOLModel
from keras_isd.baselines.moco import MoCoModel
from keras_isd.baselines.msf import MSFModel

__all__ = ["BYOLModel", "MSFModel", "MoCoModel"]
