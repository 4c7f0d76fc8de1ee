"""Features of many images in a file, written in pieces, of which no work is lost."""

import importlib.util
import itertools
import json
import os
import pathlib

import numpy as np
from absl import logging

from keras_isd.data import ViewBatches
from keras_isd.evaluation.features import extract_features
from keras_isd.files import write_text
from keras_isd.validation.arguments import check_positive_integer

PIECE = 4096  # images between two notes of how far it is, at most


def cache_features(model, source, view, path, batch_size=64, dtype="float32", verbose="auto"):
    """Writes the features of all images of a source to a `.npy` file, once.

    For a teacher's features, see `keras_isd.DistillationModel`, or for any set that is larger than
    memory. Where a run was stopped it goes on from the last piece that was written; where the file
    is there already, only the first rows are computed, to see that they are the same. A row of an
    image that cannot be read is zeros.

    Args:
        model: `keras.Model` from images to features `(B, F)`.
        source: `keras_isd.data.ImageSource`.
        view: `keras_isd.augmentation.Augmenter` that makes of an image what the model takes, such
            as `keras_isd.augmentation.evaluation(224)`.
        path: of the file, `.npy`. While it is made it has another name, `.npy.part`.
        batch_size: int.
        dtype: `"float32"`, or `"float16"`, which takes half of the room.
        verbose: `"auto"`, 0 for no progress bar, 1, or 2.

    Returns:
        `(N, F)` array, a read-only memory map of the file.

    Raises:
        ValueError: if the file, or the part of it, is of another model, view, dtype or number of
            images, or does not end in `.npy`, or a feature is not finite.

    Example:

    >>> import os, tempfile
    >>> images = np.random.randint(0, 256, (10, 8, 8, 3)).astype("uint8")
    >>> backbone = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    >>> keras_isd.evaluation.cache_features(
    ...     backbone, keras_isd.data.from_arrays(images), keras_isd.augmentation.evaluation(8),
    ...     os.path.join(tempfile.mkdtemp(), "features.npy"), verbose=0).shape
    (10, 8)
    """
    check_positive_integer("batch_size", batch_size)
    path = pathlib.Path(path).expanduser()
    if path.suffix != ".npy":
        raise ValueError(f"Argument `path` must end in .npy. Received: path={path}")
    if not path.exists():
        _write(model, source, view, path, batch_size, dtype, verbose)
    else:
        _check_same(model, source, view, path, dtype)
    return np.load(path, mmap_mode="r")


def _write(model, source, view, path, batch_size, dtype, verbose):
    part, note = (path.with_name(f"{path.name}.{ending}") for ending in ("part", "part.json"))
    path.parent.mkdir(parents=True, exist_ok=True)
    done, features = 0, None
    if note.exists():
        _check_same(model, source, view, part, dtype)
        features = np.lib.format.open_memmap(part, "r+")
        done = json.loads(note.read_text())["rows"]
        logging.info("%s: goes on after %d of %d images", path, done, len(source))
    # Of about one size: a last one of a few files might have none that can be read.
    ends = np.linspace(0, len(source), -(-len(source) // PIECE) + 1).astype("int64")
    for start, end in itertools.pairwise(ends[ends >= done]):
        rows = np.arange(start, end)
        batches = _batches(source.subset(rows), view, batch_size)
        found = extract_features(model, batches, dtype=dtype, verbose=verbose)
        if features is None:
            shape = (len(source), found.features.shape[1])
            features = np.lib.format.open_memmap(part, "w+", dtype, shape)
        features[start + found.indices] = found.features
        features.flush()
        write_text(note, json.dumps({"rows": int(end)}))
    os.replace(part, path)
    note.unlink()


def _batches(source, view, batch_size):
    """Batches of the view, by tf.data where that is installed: it reads on all cores."""
    if importlib.util.find_spec("tensorflow") is None:
        return ViewBatches(source, None, view, batch_size)
    from keras_isd.data import one_view_dataset  # here, and not above: it loads TensorFlow

    return one_view_dataset(source, view, batch_size)


def _check_same(model, source, view, path, dtype):
    """Raises a ValueError unless the first rows of a file are what would be written now."""
    rows = range(min(8, len(source)))
    batches = _batches(source.subset(rows), view, len(rows))
    found = extract_features(model, batches, dtype=dtype, verbose=0)
    there = np.load(path, mmap_mode="r")
    wanted = (len(source), found.features.shape[1])
    same = there.shape == wanted and there.dtype == found.features.dtype
    if not same or not np.allclose(there[found.indices], found.features, rtol=1e-2, atol=1e-3):
        raise ValueError(
            "Argument `path` must be a new file, or one of these images, this model and this view: "
            f"features of shape {wanted}, {dtype}. Received: {path}, of shape {there.shape}, "
            f"{there.dtype}{', with other numbers in its first rows' if same else ''}"
        )
