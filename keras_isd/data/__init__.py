"""Data: pipelines of two views for `fit`."""

from keras_isd.data.two_view_dataset import two_view_dataset

__all__ = ["two_view_dataset"]
