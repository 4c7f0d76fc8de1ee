"""Where images come from, and how they become batches of two views."""

from keras_isd.data.arrays import from_arrays
from keras_isd.data.folders import from_folder, from_list_file
from keras_isd.data.image_source import ImageSource
from keras_isd.data.one_view_dataset import one_view_dataset
from keras_isd.data.report_unreadable import ReportUnreadable
from keras_isd.data.tfds_sets import from_tfds
from keras_isd.data.two_view_dataset import two_view_dataset
from keras_isd.subsets import label_fraction, long_tail, of_classes, unbalanced

__all__ = [
    "ImageSource",
    "ReportUnreadable",
    "from_arrays",
    "from_folder",
    "from_list_file",
    "from_tfds",
    "label_fraction",
    "long_tail",
    "of_classes",
    "one_view_dataset",
    "two_view_dataset",
    "unbalanced",
]
