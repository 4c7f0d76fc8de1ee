"""Fingerprints that identify a set of images, a set of features, or a model with its view."""

import hashlib
import json
import os
import zlib

import numpy as np

SAMPLED_ROWS = 16  # rows of an array that its fingerprint depends on


def source_fingerprint(source):
    """Computes a hash that identifies the images of a source.

    It depends on the images' names, or on the pixels of some images if they have no names. Paths
    are made absolute, because a relative path depends on the working directory, and another folder
    may hold files of the same names.

    Args:
        source: `keras_isd.data.ImageSource`.

    Returns:
        str of 16 hexadecimal digits.
    """
    if source.names is not None:
        content = "\n".join(map(absolute_name, source.names)).encode("utf-8", "surrogateescape")
    else:
        content = b"".join(source[row].tobytes() for row in _sampled_rows(len(source)))
    return hashlib.sha256(content).hexdigest()[:16]


def features_fingerprint(features):
    """Computes a checksum that identifies features `(N, D)`, from some of their rows."""
    rows = np.asarray(features[_sampled_rows(len(features))])
    return zlib.crc32(np.ascontiguousarray(rows).tobytes())


def model_fingerprint(model, view):
    """Computes a hash that identifies the features of a model: its weights, and its view.

    Args:
        model: `keras.Model`.
        view: `keras_isd.augmentation.Augmenter` that makes its input.

    Returns:
        str of 16 hexadecimal digits.
    """
    found = hashlib.sha256(json.dumps(view.get_config(), default=repr).encode())
    for array in model.get_weights():
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def absolute_name(name):
    """Makes a path absolute; URLs stay as they are."""
    return name if "://" in name else os.path.abspath(name)


def _sampled_rows(count):
    return np.linspace(0, count - 1, SAMPLED_ROWS).astype(int).tolist()
