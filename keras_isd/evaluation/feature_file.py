"""Writes the features of many images to a file; an interrupted run resumes.

A note next to the file, `NAME.npy.json`, identifies the images, and has the number of rows that are
written and the rows of images that could not be read.
"""

import importlib.util
import json
import os
import pathlib

import numpy as np
from absl import logging

from keras_isd.data import ViewBatches
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.fingerprint import contents_fingerprint
from keras_isd.evaluation.features import extract_features, iterate_features
from keras_isd.files import lock, write_text
from keras_isd.validation.arguments import check_positive_integer

PIECE_IMAGES = 4096  # largest number of images between two notes of the progress
CHECKED_ROWS = 8  # that are computed again to check that a file belongs to a model


def cache_features(
    model, source, view, path, batch_size=64, dtype="float32", verbose="auto", replace=False
):
    """Computes the features of all images of a source once and writes them to a `.npy` file.

    It serves for a teacher's features (see `keras_isd.DistillationModel`) and for sets larger than
    memory. An interrupted run resumes after the last piece that was written. If the file exists
    already, only a few rows are computed, to check that the file belongs to the model. A note next
    to the file, which ends in `.npy.json`, identifies the images by the names, sizes and times of
    all files. Images that cannot be read have rows of zeros; `unreadable_rows` in
    `keras_isd.evaluation.feature_file` returns their numbers.

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
        replace: bool, whether a file of other images, or of changed ones, is computed anew instead
            of refused. Defaults to False.

    Returns:
        `(N, F)` array, a read-only memory map of the file.

    Raises:
        BlockingIOError: if another process writes the file.
        ValueError: if the file or its unfinished part belongs to another model, view or dtype, or
            to other images, if `path` does not end in `.npy`, or if a feature is not finite.

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
    images = contents_fingerprint(source)
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(path):
        if replace and _read_note(path).get("images") != images:
            for file in filter(pathlib.Path.exists, (path, _part(path))):
                logging.info("%s is of other images, or of changed ones, and begins anew", file)
                file.unlink()
        if not path.exists():
            _write(model, source, view, path, batch_size, dtype, verbose, images)
        else:
            _check_same(model, source, view, path, path, dtype, images)
    return np.load(path, mmap_mode="r")


def unreadable_rows(path):
    """Returns the rows of images that could not be read when a file of features was written.

    Args:
        path: path of a file that `cache_features` wrote.

    Returns:
        int64 array.
    """
    return np.array(_read_note(path).get("unreadable", []), "int64")


def _part(path):
    return path.with_name(f"{path.name}.part")


def _note(path):
    return path.with_name(f"{path.name}.json")


def _read_note(path):
    """The note of a file; an empty dict without one."""
    note = _note(pathlib.Path(path))
    return json.loads(note.read_text()) if note.is_file() else {}


def _write(model, source, view, path, batch_size, dtype, verbose, images):
    part, note = _part(path), _read_note(path)
    done, features, unreadable = 0, None, []
    if note and part.exists():  # neither serves without the other
        _check_same(model, source, view, path, part, dtype, images)
        features = np.lib.format.open_memmap(part, "r+")
        done, unreadable = note["rows"], note["unreadable"]
        logging.info("%s: resuming after %d of %d images", path, done, len(source))
    noted = start = done
    rest = source.subset(np.arange(start, len(source))) if start < len(source) else ()
    reason = _why_unreadable(rest)
    if reason is not None:
        unreadable += range(start, len(source))
    elif len(rest):
        # All batches come from one pipeline: the functions that tf.data compiles for each new one
        # stay in memory, about 1.8 MB.
        batches = _make_batches(rest, view, batch_size)
        for batch in iterate_features(model, batches, dtype, verbose):
            done += len(batch.indices) + len(batch.unreadable)
            unreadable += sorted((start + batch.unreadable).tolist())
            if len(batch.indices):
                if features is None:
                    features = _create(part, dtype, (len(source), batch.features.shape[1]))
                features[start + batch.indices] = batch.features
            if features is not None and done - noted >= PIECE_IMAGES:
                features.flush()
                _write_note(path, images, done, unreadable)
                noted = done
    if features is None:
        raise ValueError(
            "Argument `source` must have a readable image. "
            f"Received: {len(source)} images, such as {reason}"
        )
    features.flush()
    _write_note(path, images, len(source), unreadable)
    os.replace(part, path)


def _write_note(path, images, rows, unreadable):
    note = {"images": images, "rows": int(rows), "unreadable": [*map(int, unreadable)]}
    write_text(_note(path), json.dumps(note))


def _why_unreadable(source):
    """The name of an image with the reason if none can be read; None if one can."""
    reason = None
    for row in range(len(source)):
        try:
            source.read_exactly(row)
        except UnreadableImageError as error:
            reason = reason or f"{source.row_name(row)}: {error}"
        else:
            return None
    return reason


def _create(path, dtype, shape):
    """A new file of zeros, as a memory map.

    Its space is reserved, because a full disk would end the process when pages are written.
    """
    features = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        try:
            with open(path, "rb+") as file:
                os.posix_fallocate(file.fileno(), 0, features.offset + features.nbytes)
        except OSError:
            path.unlink()
            raise
    return features


def _make_batches(source, view, batch_size):
    """Makes batches of a view, with tf.data if it is installed, because it reads on all cores."""
    if importlib.util.find_spec("tensorflow") is None:
        return ViewBatches(source, None, view, batch_size)
    from keras_isd.data import one_view_dataset  # imported here because it loads TensorFlow

    return one_view_dataset(source, view, batch_size)


def _check_same(model, source, view, path, file, dtype, images):
    """Raises a ValueError unless a file, or its part, is of these images, model and view."""
    note = _read_note(path)
    expected = (
        "Argument `path` must be a new file, or one written for the same images, model and view"
    )
    if note.get("images", images) != images:
        raise ValueError(
            f"{expected}. Received: {file}, of other images, or of images that have changed since"
        )
    rows = np.setdiff1d(np.arange(note.get("rows", len(source))), note.get("unreadable", []))
    rows = rows[np.linspace(0, len(rows) - 1, min(CHECKED_ROWS, len(rows))).astype("int64")]
    batches = _make_batches(source.subset(rows), view, len(rows))
    found = extract_features(model, batches, dtype=dtype, verbose=0)
    stored = np.load(file, mmap_mode="r")
    shape = (len(source), found.features.shape[1])
    is_same_kind = stored.shape == shape and stored.dtype == found.features.dtype
    same = is_same_kind and np.allclose(
        stored[rows[found.indices]], found.features, rtol=1e-2, atol=1e-3
    )
    if not same:
        raise ValueError(
            f"{expected}: features of shape {shape}, {dtype}. Received: {file}, of shape "
            f"{stored.shape}, {stored.dtype}{', with other numbers in some rows' * is_same_kind}"
        )
