"""Features of a data set, with labels and places along."""

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
    """What a model sees in N images: a triple of arrays, and what the images are called.

    Attributes:
        features: `(N, F)` array.
        labels: `(N,)` int32 array, or None if there are none.
        indices: `(N,)` int64 array, the image's place in the data set.
        names: list of N str, or None if none were given.
        unreadable: `(M,)` int64 array, the indices of images that could not be read, and so have no
            row here.

    Example:

    >>> found = keras_isd.evaluation.Features(np.ones((2, 3)), np.array([4, 5]), np.arange(2))
    >>> features, labels, indices = found
    """

    names: list[str] | None = None  # no part of the triple, which code takes apart
    unreadable: np.ndarray

    def __new__(cls, features, labels, indices, names=None, unreadable=()):
        found = super().__new__(cls, features, labels, indices)
        found.names = names
        found.unreadable = np.asarray(unreadable, "int64")
        return found

    def _replace(self, **changes):
        found = super()._replace(**changes)
        found.names, found.unreadable = self.names, self.unreadable
        return found


def extract_features(model, dataset, dtype="float32", verbose="auto", names=None):
    """Computes the features of all images of a data set, once, in its order.

    Nothing of the model changes. The progress bar shows how far it is. An image that could not be
    read, of which `keras_isd.data.one_view_dataset` gives a view of NaN, is left out, and a warning
    says how many those are; `indices` then skips their places, which `unreadable` has.

    Args:
        model: `ISDModel`, of which the student's backbone is asked, or any `keras.Model` from
            images to features `(B, F)`, such as `model.teacher_backbone`.
        dataset: iterable of batches of views as the backbone sees them, `(B, H, W, C)`, or of pairs
            of them and integer labels `(B,)`, or triples with indices `(B,)` too. For example
            `keras_isd.data.one_view_dataset(source, keras_isd.augmentation.evaluation(32), 500)`.
        dtype: `"float32"`, or `"float16"`, which takes half of the memory.
        verbose: `"auto"`, 0 for no progress bar, 1, or 2 for one line at the end.
        names: list of str, what the images are called, by index; such as `source.names`.

    Returns:
        `Features`. Without indices of its own an image's index is its place in the data set.

    Raises:
        ValueError: if the data set is empty, or no image of it could be read, some batches alone
            have labels, a feature is not finite, features are not `(B, F)`, or an index has no
            name.

    Example:

    >>> model = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    >>> batches = [(np.zeros((4, 8, 8, 3)), [0, 1, 2, 3]), (np.zeros((2, 8, 8, 3)), [4, 5])]
    >>> found = keras_isd.evaluation.extract_features(model, batches, verbose=0)
    >>> found.features.shape, found.labels.tolist()
    ((6, 8), [0, 1, 2, 3, 4, 5])
    """
    _check_dataset(dataset)
    progress = progress_bar(_length(dataset), verbose)
    parts, missing, batch_size, count, number = [], [], 0, 0, 0
    for number, batch in enumerate(dataset, start=1):
        images, *rest = batch if isinstance(batch, (tuple, list)) else (batch,)
        _check_batch(dataset, images)
        images = ops.convert_to_tensor(images)
        places = np.arange(count, count + len(images))
        count += len(images)
        batch_size = max(batch_size, len(images))
        labels, indices = [*map(ops.convert_to_numpy, rest), *[None, places][len(rest) :]][:2]
        readable = _readable(images)
        if not readable.all():
            missing.extend(indices[~readable])
            images = ops.take(images, np.flatnonzero(readable), axis=0)
            labels, indices = labels if labels is None else labels[readable], indices[readable]
        if number == 1:
            warn_of_views(ops.convert_to_numpy(images[:SAMPLED_IMAGES]))
        if len(indices):
            features = _features(model, images, batch_size).astype(dtype)
            _check(features, number - 1)
            parts.append((features, labels, indices))
        progress.update(number)
    if not parts:
        raise ValueError(
            "Argument `dataset` must have at least one batch, and an image that can be read. "
            f"Received: {number} batches, {count} images"
        )
    progress.update(number, finalize=True)
    return _joined(parts, missing, names)


def _readable(images):
    """Which images are views of what could be read, and not of NaN alone; `(B,)` array."""
    flat = ops.reshape(images, (len(images), -1))
    readable = np.ones(len(images), bool)
    # Of most images one number tells.
    for row in np.flatnonzero(np.isnan(ops.convert_to_numpy(flat[:, 0]).astype("float32"))):
        readable[row] = not np.isnan(ops.convert_to_numpy(flat[int(row)])).all()
    return readable


def _joined(parts, missing, names):
    """`Features` of those of all batches, triples of features, labels and indices."""
    features, labels, places = zip(*parts)
    unlabelled = [part is None for part in labels]
    if any(unlabelled) and not all(unlabelled):
        raise ValueError("Either all batches have labels or none has. Received: some have")
    indices = np.concatenate(places).astype("int64")
    if names is not None and indices.max() >= len(names):
        raise ValueError(
            "Argument `names` must have one for each image. "
            f"Received: {len(names)} names, and an image of index {indices.max()}"
        )
    if missing:
        count = len(indices) + len(missing)
        logging.warning(
            "%d of %d images could not be read and have no features.", len(missing), count
        )
    return Features(
        np.concatenate(features),
        None if any(unlabelled) else np.concatenate(labels).astype("int32"),
        indices,
        None if names is None else [names[index] for index in indices],
        missing,
    )


def _features(model, images, batch_size):
    """Features of a batch; a smaller one is filled up, so that nothing is compiled anew for it."""
    missing = batch_size - len(images)
    if missing:
        images = ops.take(images, np.arange(batch_size) % len(images), axis=0)
    return np.asarray(backend.predict_on_batch(model, images))[: batch_size - missing]


WANTED = (
    "Argument `dataset` must be an iterable of batches of views (batch, height, width, channels), "
    "as `keras_isd.data.one_view_dataset` gives of a source, or of pairs of them and labels."
)


def _check_dataset(dataset):
    """Raises a ValueError for what is one array, or cannot be gone through."""
    gone_through = hasattr(dataset, "__iter__") or hasattr(dataset, "__getitem__")
    if hasattr(dataset, "shape") or not gone_through or isinstance(dataset, ImageSource):
        shape = f" of shape {tuple(dataset.shape)}" if hasattr(dataset, "shape") else ""
        raise ValueError(f"{WANTED} Received: {type(dataset).__name__}{shape}")


def _check_batch(dataset, images):
    """Raises a ValueError for a batch that is none of views."""
    shape = getattr(images, "shape", None)
    if shape is None or len(shape) < 2:
        received = sorted(images) if isinstance(images, dict) else type(images).__name__
        raise ValueError(
            f"{WANTED} Received: {type(dataset).__name__} with batches of "
            + (f"shape {tuple(shape)}" if shape is not None else f"{received}")
        )


def _check(features, number):
    if features.ndim != 2:
        raise ValueError(
            "Argument `model` must give features of shape (B, F). "
            f"Received: shape {features.shape} of batch {number}"
        )
    if not np.isfinite(features).all():
        raise ValueError(
            "Features must be finite, and within float16 if that is their dtype. "
            f"Received: NaN or infinity in batch {number}"
        )


def _length(dataset):
    """How many batches there are, or None if that is not known."""
    try:
        return len(dataset)
    except TypeError:
        return None
