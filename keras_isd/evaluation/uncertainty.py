"""How sure a measured share is, and a difference between two of them."""

import math

import numpy as np

NORMAL_95 = 1.959964  # standard deviations on each side that hold 95 % of a normal distribution


def wilson_interval(successes, trials):
    """Computes the 95 % confidence interval of a share, such as an accuracy.

    Args:
        successes: int in [0, `trials`].
        trials: int >= 1.

    Returns:
        Pair of floats in [0, 1].

    Raises:
        ValueError: if the numbers are out of range.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Example:

    >>> low, high = keras_isd.evaluation.wilson_interval(9, 10)
    >>> round(low, 3), round(high, 3)
    (0.596, 0.982)
    """
    if not (trials >= 1 and 0 <= successes <= trials):
        raise ValueError(
            "Arguments must be `trials` of at least 1 and `successes` between 0 and `trials`. "
            f"Received: {successes=}, {trials=}"
        )
    share, z2 = successes / trials, NORMAL_95**2
    center = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    half = NORMAL_95 * spread / (1 + z2 / trials)
    return max(0.0, center - half), min(1.0, center + half)


def format_share(share, trials, form=".1%"):
    """Formats a share with its 95 % interval, such as `"90.0% [59.6%, 98.2%]"`."""
    return f"{share:{form}} {format_interval(share, trials, form)}"


def format_interval(share, trials, form):
    """Formats the 95 % interval of a share, such as `"[59.6%, 98.2%]"`."""
    low, high = wilson_interval(round(share * trials), trials)
    return f"[{low:{form}}, {high:{form}}]"


def mcnemar_test(first, second):
    """Computes how probable a difference at least this large is between equally good classifiers.

    Both classified the same images. Only images that exactly one of them classified correctly
    count; if both are equally good, each of them is right for half of these.

    Args:
        first, second: `(N,)` bools, whether each image was classified correctly.

    Returns:
        Float in [0, 1], the exact two-sided p-value.

    Raises:
        ValueError: if the arguments differ in length.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", 1947.

    Example:

    >>> first, second = np.arange(10) < 9, np.arange(10) < 1
    >>> round(keras_isd.evaluation.mcnemar_test(first, second), 4)
    0.0078
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            "Arguments `first` and `second` must have a value for each image. "
            f"Received: shapes {first.shape} and {second.shape}"
        )
    wins, losses = int((first & ~second).sum()), int((second & ~first).sum())
    total = wins + losses
    tail = sum(math.comb(total, count) for count in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / 2**total)
