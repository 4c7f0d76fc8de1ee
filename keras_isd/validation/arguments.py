"""Checks of arguments that several folders make; each error says what was wanted and received."""

import math
import numbers

import numpy as np


def check_bool(name, value):
    """Raises a ValueError unless the argument `name` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"Argument `{name}` must be True or False. Received: {name}={value!r}")


def check_positive(name, value):
    """Raises a ValueError unless the argument `name` is a number above 0."""
    if not isinstance(value, numbers.Real) or not float(value) > 0:
        raise ValueError(f"Argument `{name}` must be positive. Received: {name}={value!r}")


def check_positive_integer(name, value):
    """Raises a ValueError unless the argument `name` is an integer above 0."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"Argument `{name}` must be a positive integer. Received: {name}={value!r}"
        )


def check_seed(name, seed):
    """Raises a ValueError unless `seed` is None or an integer that all generators take."""
    if seed is None or (isinstance(seed, numbers.Integral) and 0 <= int(seed) < 2**32):
        return
    raise ValueError(
        f"Argument `{name}` must be an integer in [0, 2**32), or None. Received: {name}={seed!r}"
    )


def check_in_range(name, value, low, high=math.inf):
    """Raises a ValueError unless the argument `name` is in `[low, high]`: a number, or a tensor."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        wanted = f"at least {low}" if high == math.inf else f"in [{low}, {high}]"
        raise ValueError(f"Argument `{name}` must be {wanted}. Received: {name}={value!r}")


def check_interval(name, pair, low, high=math.inf):
    """Raises a ValueError unless `pair` is in order and within `low` and `high`."""
    if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(
            f"Argument `{name}` must lie within [{low}, {high}], the lower first. Received: {pair}"
        )


def finite_array(name, array, shape):
    """An argument as a float32 array, once its shape (None: any size) and its values are right."""
    array = np.asarray(array, "float32")
    fits = len(array.shape) == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape)
    )
    if not fits or not array.size or not np.isfinite(array).all():
        raise ValueError(
            f"Argument `{name}` must be finite numbers of shape {shape}. "
            f"Received: shape {array.shape}, {np.count_nonzero(~np.isfinite(array))} not finite"
        )
    return array
