"""The two methods that the paper compares ISD with, on the same student, teacher and queue."""

from keras_isd.baselines import recipes  # noqa: F401 (registers them)
from keras_isd.baselines.byol import BYOLModel
from keras_isd.baselines.moco import MoCoModel

__all__ = ["BYOLModel", "MoCoModel"]
