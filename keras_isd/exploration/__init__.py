"""Clusters, duplicates, neighbours, outliers and images to label, from features without labels."""

from keras_isd.exploration.clusters import (
    choose_clustering,
    choose_clusters,
    cluster_features,
)
from keras_isd.exploration.copies import find_copies
from keras_isd.exploration.duplicates import find_duplicates
from keras_isd.exploration.local_outliers import find_local_outliers
from keras_isd.exploration.outliers import outlier_scores
from keras_isd.exploration.page.explorer import write_explorer
from keras_isd.exploration.pixel_outliers import pixel_outlier_scores
from keras_isd.exploration.regions import write_regions
from keras_isd.exploration.selection import select_rows
from keras_isd.similarity.neighbors import find_neighbors

__all__ = [
    "choose_clustering",
    "choose_clusters",
    "cluster_features",
    "find_copies",
    "find_duplicates",
    "find_local_outliers",
    "find_neighbors",
    "outlier_scores",
    "pixel_outlier_scores",
    "select_rows",
    "write_explorer",
    "write_regions",
]
