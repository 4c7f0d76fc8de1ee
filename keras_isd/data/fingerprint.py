"""What tells some images from others."""

import hashlib
import os

import numpy as np

SAMPLES = 16  # images in memory that tell


def fingerprint(source):
    """A text that tells the images of a source from others: by their paths, or by some of them.

    Paths are whole, since a folder may be called from elsewhere, and another one may have files of
    the same names.
    """
    if source.names is not None:
        known = "\n".join(map(whole_path, source.names)).encode("utf-8", "surrogateescape")
    else:
        rows = np.linspace(0, len(source) - 1, SAMPLES).astype(int)
        known = b"".join(source[int(row)].tobytes() for row in rows)
    return hashlib.sha256(known).hexdigest()[:16]


def whole_path(name):
    """A name that leads to the file from any folder."""
    return name if "://" in name else os.path.abspath(name)
