"""A data set of TensorFlow Datasets, of 20 small images that differ in size."""
