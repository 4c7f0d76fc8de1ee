"""Extracts the features of a data set, with labels, indices and names."""

from typing import Any, NamedTuple

import numpy as np
from absl import logging
from keras import ops

from keras_isd import backend
from keras_isd.compat.progress_bar import progress_bar
from keras_isd.data import ImageSource
from keras_isd.validation.images import SAMPLED_IMAGES, warn_of_views


class _Triple(NamedTuple):
    features: Any
    labels: Any
    indices: Any


class Features(_Triple):
    """Features of N images: a triple of arrays, with names as a further attribute.

    Attributes:
        features: `(N, F)` array.
        labels: `(N,)` int32 array, or None if the data set has no labels.
        indices: `(N,)` int64 array, the images' places in the data set.
        names: list of N str, the images' names, or None.
        class_names: list of str, the names of the classes by label, or None.
        facts: dict of str to str, what the features depend on, such as `"model"`, the model's
            fingerprint.
        root: str, the folder of the images, or None.
        unreadable: `(M,)` int64 array, the indices of images that could not be read. They have no
            row in the other arrays.

    Example:

    >>> found = keras_isd.evaluation.Features(np.ones((2, 3)), np.array([4, 5]), np.arange(2))
    >>> features, labels, indices = found
    """

    # Not in the tuple, so that code may unpack three values.
    names: list[str] | None = None
    class_names: list[str] | None = None
    facts: dict[str, str]
    root: str | None = None
    unreadable: np.ndarray

    def __new__(
        cls,
        features,
        labels,
        indices,
        names=None,
        unreadable=(),
        class_names=None,
        facts=None,
        root=None,
    ):
        self = super().__new__(cls, features, labels, indices)
        self.names = names
        self.class_names = class_names
        self.facts = dict(facts or {})
        self.root = None if root is None else str(root)
        self.unreadable = np.asarray(unreadable, "int64")
        return self

    def _replace(self, **changes):
        replaced = super()._replace(**changes)
        vars(replaced).update(vars(self))
        return replaced


def extract_features(model, dataset, dtype="float32", verbose="auto", names=None):
    """Computes the features of all images of a data set, in its order.

    The model does not change. Images that could not be read are omitted, and a warning reports
    their number: `keras_isd.data.one_view_dataset` marks them by a view of NaN. Their indices are
    in `unreadable`, not in `indices`.

    Args:
        model: `ISDModel`, whose student backbone computes the features, or any `keras.Model` from
            images to features `(B, F)`, such as `model.teacher_backbone`.
        dataset: iterable of batches of views `(B, H, W, C)` that are input of the backbone, of
            pairs (views, integer labels `(B,)`), or of triples (views, labels, indices `(B,)`). For
            example
            `keras_isd.data.one_view_dataset(source, keras_isd.augmentation.evaluation(32), 500)`.
        dtype: `"float32"`, or `"float16"`, which takes half of the memory. Defaults to `"float32"`.
        verbose: `"auto"`, 0 for no progress bar, 1, or 2 for one line at the end. Defaults to
            `"auto"`.
        names: list of str, the images' names by index, such as `source.names`, or None. Defaults to
            None.

    Returns:
        `Features`. If the data set gives no indices, an image's index is its place in the data set.

    Raises:
        ValueError: if the data set has no readable image, only some batches have labels, a feature
            is not finite, features are not `(B, F)`, or an index has no name.

    Example:

    >>> model = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    >>> batches = [(np.zeros((4, 8, 8, 3)), [0, 1, 2, 3]), (np.zeros((2, 8, 8, 3)), [4, 5])]
    >>> found = keras_isd.evaluation.extract_features(model, batches, verbose=0)
    >>> found.features.shape, found.labels.tolist()
    ((6, 8), [0, 1, 2, 3, 4, 5])
    """
    batches = [*iterate_features(model, dataset, dtype, verbose)]
    missing = [index for batch in batches for index in batch.unreadable]
    parts = [batch[:3] for batch in batches if len(batch.indices)]
    if not parts:
        raise ValueError(
            "Argument `dataset` must have at least one readable image. "
            f"Received: {len(batches)} batches, {len(missing)} images"
        )
    return _join(parts, missing, names)


def iterate_features(model, dataset, dtype="float32", verbose="auto"):
    """Computes the features of a data set batch by batch, in bounded memory.

    Args:
        model, dataset, dtype, verbose: see `extract_features`.

    Yields:
        `Features` of each batch. Images that could not be read have no row, and their indices are
        in `unreadable`; a batch without a readable image has arrays of length 0.

    Raises:
        ValueError: as `extract_features`.
    """
    _check_dataset(dataset)
    progress = progress_bar(_count_batches(dataset), verbose)
    batch_size, count, number = 0, 0, 0
    for number, batch in enumerate(dataset, start=1):
        images, *rest = batch if isinstance(batch, (tuple, list)) else (batch,)
        _check_batch(dataset, images)
        images = ops.convert_to_tensor(images)
        places = np.arange(count, count + len(images))
        count += len(images)
        batch_size = max(batch_size, len(images))
        labels, indices = [*map(ops.convert_to_numpy, rest), *[None, places][len(rest) :]][:2]
        is_readable = _find_readable(images)
        missing = indices[~is_readable]
        if len(missing):
            images = ops.take(images, np.flatnonzero(is_readable), axis=0)
            labels = labels if labels is None else labels[is_readable]
            indices = indices[is_readable]
        if number == 1:
            warn_of_views(ops.convert_to_numpy(images[:SAMPLED_IMAGES]))
        features = np.zeros((0, 0), dtype)
        if len(indices):
            features = _predict(model, images, batch_size).astype(dtype)
            _check_features(features, number - 1)
        yield Features(features, labels, indices, unreadable=missing)
        progress.update(number)
    if count:
        progress.update(number, finalize=True)


def _find_readable(images):
    """Finds the views that are not NaN throughout: `(B,)` array of bool."""
    flat = ops.reshape(images, (len(images), -1))
    is_readable = np.ones(len(images), bool)
    # For most images the first number is enough.
    for row in np.flatnonzero(np.isnan(ops.convert_to_numpy(flat[:, 0]).astype("float32"))):
        is_readable[row] = not np.isnan(ops.convert_to_numpy(flat[int(row)])).all()
    return is_readable


def _join(parts, missing, names):
    """Joins the features, labels and indices of all batches to `Features`."""
    features, labels, places = zip(*parts)
    is_unlabelled = [part is None for part in labels]
    if any(is_unlabelled) and not all(is_unlabelled):
        raise ValueError(
            "Argument `dataset` must have labels in all batches or in none. "
            f"Received: labels in {is_unlabelled.count(False)} of {len(is_unlabelled)} batches"
        )
    indices = np.concatenate(places).astype("int64")
    if names is not None and indices.max() >= len(names):
        raise ValueError(
            "Argument `names` must have one name for each image. "
            f"Received: {len(names)} names, and an image with index {indices.max()}"
        )
    if missing:
        count = len(indices) + len(missing)
        logging.warning(
            "%d of %d images could not be read and have no features", len(missing), count
        )
    return Features(
        np.concatenate(features),
        None if any(is_unlabelled) else np.concatenate(labels).astype("int32"),
        indices,
        None if names is None else [names[index] for index in indices],
        missing,
    )


def _predict(model, images, batch_size):
    """Computes the features of a batch; a smaller batch is padded, to avoid another compilation."""
    missing = batch_size - len(images)
    if missing:
        images = ops.take(images, np.arange(batch_size) % len(images), axis=0)
    return np.asarray(backend.predict_on_batch(model, images))[: batch_size - missing]


EXPECTED = (
    "Argument `dataset` must be an iterable of batches of views (batch, height, width, channels), "
    "such as `keras_isd.data.one_view_dataset` makes from a source, or of pairs (views, labels)."
)


def _check_dataset(dataset):
    """Raises a ValueError if `dataset` is a single array, or not an iterable of batches."""
    is_iterable = hasattr(dataset, "__iter__") or hasattr(dataset, "__getitem__")
    if hasattr(dataset, "shape") or not is_iterable or isinstance(dataset, ImageSource):
        shape = f" of shape {tuple(dataset.shape)}" if hasattr(dataset, "shape") else ""
        raise ValueError(f"{EXPECTED} Received: {type(dataset).__name__}{shape}")


def _check_batch(dataset, images):
    """Raises a ValueError unless a batch is an array of views."""
    shape = getattr(images, "shape", None)
    if shape is None or len(shape) < 2:
        received = sorted(images) if isinstance(images, dict) else type(images).__name__
        raise ValueError(
            f"{EXPECTED} Received: {type(dataset).__name__} with batches of "
            + (f"shape {tuple(shape)}" if shape is not None else f"{received}")
        )


def _check_features(features, number):
    """Raises a ValueError unless the features of batch `number` are finite and `(B, F)`."""
    if features.ndim != 2:
        raise ValueError(
            "Argument `model` must return features of shape (B, F). "
            f"Received: shape {features.shape} in batch {number}"
        )
    if not np.isfinite(features).all():
        raise ValueError(
            "Features must be finite, and within the range of float16 if that is their dtype. "
            f"Received: NaN or infinity in batch {number}"
        )


def _count_batches(dataset):
    """Counts the batches; None if their number is unknown."""
    try:
        return len(dataset)
    except TypeError:
        return None
