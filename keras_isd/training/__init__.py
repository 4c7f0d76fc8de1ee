"""From images to a trained model in one call, with settings that are chosen and say why."""

from keras_isd.training.folder_run import load_run, train_on_images
from keras_isd.training.run_report import write_run_report
from keras_isd.training.settings import TrainingSettings, choose_settings
from keras_isd.training.teachers import make_teacher

__all__ = [
    "TrainingSettings",
    "choose_settings",
    "load_run",
    "make_teacher",
    "train_on_images",
    "write_run_report",
]
