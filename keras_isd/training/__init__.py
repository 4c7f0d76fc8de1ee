"""From images to a trained model in one call, with settings that are chosen and say why."""

from keras_isd.training.folder_run import load_run, train_on_images
from keras_isd.training.settings import TrainingSettings, choose_settings

__all__ = ["TrainingSettings", "choose_settings", "load_run", "train_on_images"]
