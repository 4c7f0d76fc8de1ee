"""Writes the features of many images to a file; an interrupted run resumes."""

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

PIECE_IMAGES = 4096  # largest number of images between two notes of the progress


def cache_features(model, source, view, path, batch_size=64, dtype="float32", verbose="auto"):
    """Computes the features of all images of a source once and writes them to a `.npy` file.

    It serves for a teacher's features (see `keras_isd.DistillationModel`) and for sets larger than
    memory. An interrupted run resumes after the last piece that was written. If the file exists
    already, only the first rows are computed, to check that the file belongs to the model. Images
    that cannot be read have rows of zeros.

    Args:
        model: `keras.Model` from images to features `(B, F)`.
        source: `keras_isd.data.ImageSource`.
        view: `keras_isd.augmentation.Augmenter` that makes the model's input from an image, such as
            `keras_isd.augmentation.evaluation(224)`.
        path: path of the file, which ends in `.npy`. Until the file is complete its name ends in
            `.npy.part`.
        batch_size: int. Defaults to 64.
        dtype: `"float32"`, or `"float16"`, which takes half of the space. Defaults to `"float32"`.
        verbose: `"auto"`, 0 for no progress bar, 1, or 2. Defaults to `"auto"`.

    Returns:
        `(N, F)` array, a read-only memory map of the file.

    Raises:
        ValueError: if the file or its unfinished part belongs to another model, view, dtype or
            number of images, if `path` does not end in `.npy`, or if a feature is not finite.

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
        logging.info("%s: resuming after %d of %d images", path, done, len(source))
    # Pieces have about equal sizes: a last piece of a few files might have no readable image.
    ends = np.linspace(0, len(source), -(-len(source) // PIECE_IMAGES) + 1).astype("int64")
    for start, end in itertools.pairwise(ends[ends >= done]):
        rows = np.arange(start, end)
        batches = _make_batches(source.subset(rows), view, batch_size)
        values, _, indices = extract_features(model, batches, dtype=dtype, verbose=verbose)
        if features is None:
            shape = (len(source), values.shape[1])
            features = np.lib.format.open_memmap(part, "w+", dtype, shape)
        features[start + indices] = values
        features.flush()
        write_text(note, json.dumps({"rows": int(end)}))
    os.replace(part, path)
    note.unlink()


def _make_batches(source, view, batch_size):
    """Makes batches of a view, with tf.data if it is installed, because it reads on all cores."""
    if importlib.util.find_spec("tensorflow") is None:
        return ViewBatches(source, None, view, batch_size)
    from keras_isd.data import one_view_dataset  # imported here because it loads TensorFlow

    return one_view_dataset(source, view, batch_size)


def _check_same(model, source, view, path, dtype):
    """Raises a ValueError unless the first rows of a file equal those of this model and view."""
    rows = range(min(8, len(source)))
    batches = _make_batches(source.subset(rows), view, len(rows))
    values, _, indices = extract_features(model, batches, dtype=dtype, verbose=0)
    stored = np.load(path, mmap_mode="r")
    shape = (len(source), values.shape[1])
    is_same_kind = stored.shape == shape and stored.dtype == values.dtype
    if not is_same_kind or not np.allclose(stored[indices], values, rtol=1e-2, atol=1e-3):
        raise ValueError(
            "Argument `path` must be a new file, or one written for the same images, model and "
            f"view: features of shape {shape}, {dtype}. Received: {path}, of shape {stored.shape}, "
            f"{stored.dtype}{', with other numbers in its first rows' if is_same_kind else ''}"
        )
