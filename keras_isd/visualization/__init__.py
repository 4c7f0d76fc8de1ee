"""Figures of images, features and training runs.

Needs the extra `[plots]`.
"""

import importlib

from keras_isd.visualization.embedding import plot_embedding
from keras_isd.visualization.heat_maps import plot_heat_maps
from keras_isd.visualization.history import plot_history, read_csv_log
from keras_isd.visualization.image_rows import plot_image_rows
from keras_isd.visualization.neighbors import plot_neighbors
from keras_isd.visualization.report import write_report
from keras_isd.visualization.scenes import plot_scenes
from keras_isd.visualization.views import plot_views

__all__ = [
    "plot_clusters",
    "plot_embedding",
    "plot_heat_maps",
    "plot_history",
    "plot_image_rows",
    "plot_neighbors",
    "plot_scenes",
    "plot_views",
    "read_csv_log",
    "write_report",
]


def __dir__():
    return sorted({*globals(), "plot_clusters"})


def __getattr__(name):
    if name == "plot_clusters":  # it clusters features, so it lies in a room above; its name stays
        return getattr(importlib.import_module("keras_isd.exploration.clusters"), name)
    raise AttributeError(f"module 'keras_isd.visualization' has no attribute {name!r}")
