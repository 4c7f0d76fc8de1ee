"""Evaluation of features: k-NN, linear probe, fine-tuning, transfer and label-free metrics."""

from keras_isd.evaluation.batch_effect import group_effect, spherize
from keras_isd.evaluation.drift import measure_drift
from keras_isd.evaluation.feature_file import cache_features
from keras_isd.evaluation.feature_table import load_features, save_features
from keras_isd.evaluation.features import Features, extract_features
from keras_isd.evaluation.fine_tuning import fine_tune, fine_tuned_classifier
from keras_isd.evaluation.frozen_classifiers import (
    cross_validate_linear,
    cross_validate_neighbors,
    linear_classifier,
    make_folds,
    neighbor_classifier,
)
from keras_isd.evaluation.grid import grid_model, grid_names
from keras_isd.evaluation.health import effective_rank, neighbor_stability, view_retrieval
from keras_isd.evaluation.knn import knn_accuracies, knn_accuracy, knn_predict
from keras_isd.evaluation.label_fractions import few_labels
from keras_isd.evaluation.linear import linear_probe, linear_probe_on_images
from keras_isd.evaluation.logistic import logistic_regression
from keras_isd.evaluation.unbalanced import balanced_rows, unbalanced_accuracy
from keras_isd.evaluation.uncertainty import mcnemar_test, wilson_interval
from keras_isd.evaluation.without_network import simple_features
from keras_isd.similarity.exact import nearest_rows

__all__ = [
    "Features",
    "balanced_rows",
    "cache_features",
    "cross_validate_linear",
    "cross_validate_neighbors",
    "effective_rank",
    "extract_features",
    "few_labels",
    "fine_tune",
    "fine_tuned_classifier",
    "grid_model",
    "grid_names",
    "group_effect",
    "knn_accuracies",
    "knn_accuracy",
    "knn_predict",
    "linear_classifier",
    "linear_probe",
    "linear_probe_on_images",
    "load_features",
    "logistic_regression",
    "make_folds",
    "mcnemar_test",
    "measure_drift",
    "nearest_rows",
    "neighbor_classifier",
    "neighbor_stability",
    "save_features",
    "simple_features",
    "spherize",
    "unbalanced_accuracy",
    "view_retrieval",
    "wilson_interval",
]
