"""Callbacks for long runs."""

from keras_isd.callbacks.resume import Resume

__all__ = ["Resume"]
