"""Keeps arithmetic in float32 whatever `keras.config.floatx()` is.

A module of its own, because augmentation, layers, losses, models and optimizers import it.
"""

import functools

import keras


def in_float32(function):
    """Decorates a function so that it runs with `keras.config.floatx()` set to float32.

    On PyTorch, Keras converts a Python number to `floatx` when it meets a tensor, so that in
    bfloat16 a teacher's momentum of 0.99 would become 0.988. On every backend metrics sum in
    `floatx`, and overflow in float16. If `floatx` is float32, which is nearly always the case, the
    decorator costs one comparison.
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
