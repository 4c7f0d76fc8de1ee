"""Training in a folder: settings chosen with a reason, exact resume, and a report at the end."""

from keras_isd.training.run import Run
from keras_isd.training.run_folder import load_run
from keras_isd.training.settings import TrainingSettings, choose_settings
from keras_isd.training.teachers import make_teacher

__all__ = ["Run", "TrainingSettings", "choose_settings", "load_run", "make_teacher"]
