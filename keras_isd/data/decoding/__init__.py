"""Decoding of image files, in Python and in TensorFlow graphs."""
