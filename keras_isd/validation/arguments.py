"""Argument checks; each error states the expected and the received value."""

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


def check_natural(name, value):
    """Raises a ValueError unless `value` is an integer of at least 0."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 0:
        raise ValueError(f"Argument `{name}` must be an integer >= 0. Received: {name}={value!r}")


def check_seed(name, seed):
    """Raises a ValueError unless `seed` is None or an integer that every generator accepts."""
    if seed is None or (isinstance(seed, numbers.Integral) and 0 <= int(seed) < 2**32):
        return
    raise ValueError(
        f"Argument `{name}` must be an integer in [0, 2**32), or None. Received: {name}={seed!r}"
    )


def check_in_range(name, value, low, high=math.inf):
    """Raises a ValueError unless `value`, a number or a scalar tensor, is in `[low, high]`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        limits = f"at least {low}" if high == math.inf else f"in [{low}, {high}]"
        raise ValueError(f"Argument `{name}` must be {limits}. Received: {name}={value!r}")


def check_interval(name, pair, low, high=math.inf):
    """Raises a ValueError unless `pair` is an increasing pair within `[low, high]`."""
    if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(
            f"Argument `{name}` must be an increasing pair within [{low}, {high}]. "
            f"Received: {name}={pair}"
        )


def to_finite_array(name, array, shape):
    """Converts an argument to a float32 array and checks it.

    Args:
        name: str, the argument's name.
        array: array-like of numbers.
        shape: tuple, the expected shape; a None in it stands for any size.

    Returns:
        float32 array.

    Raises:
        ValueError: if the shape differs, or the array is empty or not finite.
    """
    array = np.asarray(array, "float32")
    has_shape = len(array.shape) == len(shape) and all(
        expected in (None, size) for expected, size in zip(shape, array.shape)
    )
    if not has_shape or not array.size or not np.isfinite(array).all():
        raise ValueError(
            f"Argument `{name}` must be finite numbers of shape {shape}. "
            f"Received: shape {array.shape}, {np.count_nonzero(~np.isfinite(array))} not finite"
        )
    return array
