"""Image sources, and batches of images and views made from them.

`one_view_dataset` and `two_view_dataset` use tf.data and import TensorFlow on first use. The other
names work without TensorFlow.
"""

import importlib
import typing

from keras_isd.data.batches.array_batches import ArrayBatches
from keras_isd.data.batches.image_batches import ImageBatches
from keras_isd.data.batches.view_batches import ViewBatches
from keras_isd.data.sources.file_table import from_csv, from_list_file, from_paths
from keras_isd.data.sources.folder import from_folder
from keras_isd.data.sources.function import from_function
from keras_isd.data.sources.huggingface import from_huggingface
from keras_isd.data.sources.image_source import ImageSource, from_arrays
from keras_isd.data.sources.parquet import from_parquet
from keras_isd.data.sources.slices import slices
from keras_isd.data.sources.stored_arrays import from_hdf5, from_zarr
from keras_isd.data.sources.tfds import from_tfds
from keras_isd.data.sources.tiles import tiles
from keras_isd.data.sources.video import from_video
from keras_isd.data.sources.webdataset import from_webdataset
from keras_isd.data.statistics import ChannelStatistics, channel_statistics
from keras_isd.data.subsets import label_fraction, long_tail, of_classes, unbalanced

if typing.TYPE_CHECKING:  # for editors and the API reference, which only read the code
    from keras_isd.data.tf_data.datasets import one_view_dataset, two_view_dataset

_ON_FIRST_USE = {
    "one_view_dataset": "keras_isd.data.tf_data.datasets",
    "two_view_dataset": "keras_isd.data.tf_data.datasets",
    # A callback, which this folder must not import at once. Version 0.1 had it here.
    "ReportUnreadable": "keras_isd.callbacks",
}

__all__ = [
    "ArrayBatches",
    "ChannelStatistics",
    "ImageBatches",
    "ImageSource",
    "ReportUnreadable",
    "ViewBatches",
    "channel_statistics",
    "from_arrays",
    "from_csv",
    "from_folder",
    "from_function",
    "from_hdf5",
    "from_huggingface",
    "from_list_file",
    "from_parquet",
    "from_paths",
    "from_tfds",
    "from_video",
    "from_webdataset",
    "from_zarr",
    "label_fraction",
    "long_tail",
    "of_classes",
    "one_view_dataset",
    "slices",
    "tiles",
    "two_view_dataset",
    "unbalanced",
]


def __dir__():
    return sorted({*globals(), *_ON_FIRST_USE})


def __getattr__(name):
    if name in _ON_FIRST_USE:
        return getattr(importlib.import_module(_ON_FIRST_USE[name]), name)
    raise AttributeError(f"module 'keras_isd.data' has no attribute {name!r}")
