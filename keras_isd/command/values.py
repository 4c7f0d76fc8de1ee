"""Types of argument values; each error names the wanted value and the received one."""

import argparse
import os
import re


def positive_int(text):
    """An int of at least 1."""
    return _number(int, text, "a positive integer", lambda value: value >= 1)


def natural_int(text):
    """An int of at least 0."""
    return _number(int, text, "an integer of at least 0", lambda value: value >= 0)


def positive_float(text):
    """A float above 0."""
    return _number(float, text, "a number above 0", lambda value: value > 0)


def fraction(text):
    """A float above 0 and at most 1."""
    return _number(float, text, "a number above 0 and at most 1", lambda value: 0 < value <= 1)


def share(text):
    """A float from 0 to 1."""
    return _number(float, text, "a number from 0 to 1", lambda value: 0 <= value <= 1)


def interval(text):
    """The distance of frames in seconds, a float above 0, or "frame" for all frames."""
    return text if text == "frame" else positive_float(text)


def group(text):
    """A level of folders, int, or a pattern of folders or the name of a column, str."""
    return int(text) if text.lstrip("-").isdigit() else text


def comma_list(text):
    """A list of str, separated by commas, but not by those in brackets, as names of tiles have."""
    return [item for item in re.split(r",(?![^\[\]]*\])", text) if item]


def path(text):
    """A path; a shell does not expand `~` after `--output=`."""
    return os.path.expanduser(text)


def _number(convert, text, wanted, is_valid):
    try:
        value = convert(text)
    except ValueError:
        value = None
    if value is None or not is_valid(value):
        raise argparse.ArgumentTypeError(f"must be {wanted}. Received: {text}")
    return value
