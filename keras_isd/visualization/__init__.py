"""Pictures of what goes in and what comes out, and pages to look through in a browser.

`pip install "keras-isd[plots]"`
"""

from keras_isd.visualization.clusters import plot_clusters
from keras_isd.visualization.csv_log import read_csv_log
from keras_isd.visualization.embedding import plot_embedding
from keras_isd.visualization.explorer import write_explorer
from keras_isd.visualization.history import plot_history
from keras_isd.visualization.image_rows import plot_image_rows
from keras_isd.visualization.neighbors import plot_neighbors
from keras_isd.visualization.report import write_report
from keras_isd.visualization.views import plot_views

__all__ = [
    "plot_clusters",
    "plot_embedding",
    "plot_history",
    "plot_image_rows",
    "plot_neighbors",
    "plot_views",
    "read_csv_log",
    "write_explorer",
    "write_report",
]
