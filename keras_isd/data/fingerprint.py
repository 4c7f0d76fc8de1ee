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


def contents_fingerprint(source):
    """Computes a hash that also changes if files of the same names are replaced.

    It depends on the names of all images, and on the sizes and times of their local files; or on
    all pixels of images in memory that have no names.

    Args:
        source: `keras_isd.data.ImageSource`.

    Returns:
        str of 16 hexadecimal digits.
    """
    found = hashlib.sha256(source_fingerprint(source).encode())
    for file in dict.fromkeys(map(containing_file, source.names or ())):
        status = file_status(file)
        found.update(f"{status and (status.st_size, status.st_mtime_ns)}\n".encode())
    if source.names is None and source.in_memory:
        for row in range(len(source)):
            found.update(source[row].tobytes())
    return found.hexdigest()[:16]


def containing_file(name):
    """The file of an image: its own, or that of a tile, slice, frame or row, or a tar file."""
    while not os.path.exists(name):
        if name.endswith("]") and "[" in name:
            name = name[: name.rindex("[")]
        elif ".tar/" in name:
            name = name[: name.rindex("/", 0, name.rindex(".tar/") + 5)]
        else:
            break
    return name


def file_status(file):
    """The `os.stat_result` of a local file; None for others, whose changes are not seen."""
    try:
        return os.stat(file)
    except (OSError, ValueError):  # such as a URL, or a name with a null character
        return None


def is_changed_since(name, time):
    """Whether an image's local file was changed, or put in its place, after a time in ns."""
    status = file_status(containing_file(name))
    return status is not None and max(status.st_mtime_ns, status.st_ctime_ns) > time


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
