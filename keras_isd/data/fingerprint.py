"""Fingerprints that identify a set of images, and features of one."""

import hashlib
import os
import zlib

import numpy as np

SAMPLED_ROWS = 16  # rows of arrays that a fingerprint is made of


def source_fingerprint(source):
    """A hash that identifies the images of a source: of their paths, or of some of their pixels.

    Paths are absolute: a relative one depends on the working directory, and another folder may hold
    files of the same names.
    """
    if source.names is not None:
        content = "\n".join(map(absolute_name, source.names)).encode("utf-8", "surrogateescape")
    else:
        content = b"".join(source[row].tobytes() for row in _sampled_rows(len(source)))
    return hashlib.sha256(content).hexdigest()[:16]


def features_fingerprint(features):
    """A checksum that identifies features `(N, D)`, of some of their rows."""
    rows = np.asarray(features[_sampled_rows(len(features))])
    return zlib.crc32(np.ascontiguousarray(rows).tobytes())


def absolute_name(name):
    """A name that leads to the file from any working directory; URLs stay as they are."""
    return name if "://" in name else os.path.abspath(name)


def _sampled_rows(count):
    return np.linspace(0, count - 1, SAMPLED_ROWS).astype(int).tolist()
