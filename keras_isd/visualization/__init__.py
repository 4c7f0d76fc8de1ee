"""Pictures of what goes in, made with matplotlib (`pip install "keras-isd[plots]"`)."""

from keras_isd.visualization.views import plot_views

__all__ = ["plot_views"]
