"""A data set for TensorFlow Datasets with 20 small images of different sizes."""
