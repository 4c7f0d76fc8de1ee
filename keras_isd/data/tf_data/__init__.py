"""Pipelines of augmented views on tf.data."""
