"""Arithmetic that stays float32 whatever `keras.config.floatx()` is."""

import functools

import keras


def in_float32(function):
    """Decorator of a function during which `keras.config.floatx()` is float32.

    On PyTorch Keras gives a Python number in arithmetic with a tensor the type `floatx`, by which a
    teacher's momentum of 0.99 would be 0.988 in bfloat16; metrics sum in it on every backend, and
    overflow in float16. Where it is float32, as nearly always, this costs a comparison.
    """

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        before = keras.config.floatx()
        if before == "float32":
            return function(*args, **kwargs)
        keras.config.set_floatx("float32")
        try:
            return function(*args, **kwargs)
        finally:
            keras.config.set_floatx(before)

    return wrapped
