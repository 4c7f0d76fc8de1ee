"""What lies in a set of images, by their features: without a label."""

from keras_isd.exploration.clusters import cluster_features
from keras_isd.exploration.duplicates import find_duplicates
from keras_isd.exploration.neighbors import find_neighbors
from keras_isd.exploration.outliers import outlier_scores
from keras_isd.exploration.selection import select_rows

__all__ = [
    "cluster_features",
    "find_duplicates",
    "find_neighbors",
    "outlier_scores",
    "select_rows",
]
