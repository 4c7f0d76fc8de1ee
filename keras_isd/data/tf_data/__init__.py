"""Pipelines of augmented views with tf.data."""
