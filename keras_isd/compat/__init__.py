"""Workarounds for the behaviour of Keras, TensorFlow and optional packages."""
