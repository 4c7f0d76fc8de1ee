"""Callbacks for `fit`."""

from keras_isd.callbacks.feature_evaluation import FeatureEvaluation, KNNEvaluation, LinearProbe
from keras_isd.callbacks.health_monitor import HealthMonitor
from keras_isd.callbacks.report_unreadable import ReportUnreadable
from keras_isd.callbacks.resume import Resume

__all__ = [
    "FeatureEvaluation",
    "HealthMonitor",
    "KNNEvaluation",
    "LinearProbe",
    "ReportUnreadable",
    "Resume",
]
