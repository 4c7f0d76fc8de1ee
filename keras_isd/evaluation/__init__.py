"""Evaluation: what the features are worth."""

from keras_isd.evaluation.knn import knn_accuracy

__all__ = ["knn_accuracy"]
