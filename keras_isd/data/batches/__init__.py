"""Batches of arrays, images and views, without TensorFlow."""
