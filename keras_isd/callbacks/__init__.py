"""Callbacks for `fit`: evaluation, health, resume, and the record of a run's settings."""

from keras_isd.callbacks.feature_evaluation import FeatureEvaluation, KNNEvaluation, LinearProbe
from keras_isd.callbacks.health_monitor import HealthMonitor
from keras_isd.callbacks.report_unreadable import ReportUnreadable
from keras_isd.callbacks.resume import Resume
from keras_isd.callbacks.run_record import record_run, run_facts

__all__ = [
    "FeatureEvaluation",
    "HealthMonitor",
    "KNNEvaluation",
    "LinearProbe",
    "ReportUnreadable",
    "Resume",
    "record_run",
    "run_facts",
]
