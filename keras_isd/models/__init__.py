"""Models: ISD, distillation, and the base classes for your own methods."""

from keras_isd.models import recipes  # noqa: F401 (registers them)
from keras_isd.models.distillation_model import DistillationModel
from keras_isd.models.fit_errors import NonFiniteLossError
from keras_isd.models.isd_model import ISDModel
from keras_isd.models.momentum_model import MomentumModel
from keras_isd.models.queue_model import QueueModel
from keras_isd.models.validated_model import ValidatedModel

__all__ = [
    "DistillationModel",
    "ISDModel",
    "MomentumModel",
    "NonFiniteLossError",
    "QueueModel",
    "ValidatedModel",
]
