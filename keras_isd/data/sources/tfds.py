"""Data sets of TensorFlow Datasets."""

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.decoding.decoder import Decoder
from keras_isd.data.sources.image_source import GIBIBYTE, ImageSource, from_arrays
from keras_isd.data.sources.storage import FilesInMemory, FilesInRecords


def from_tfds(
    name,
    split="train",
    data_dir=None,
    on_error="skip",
    max_bytes=16 * GIBIBYTE,
    random_access=False,
    labels=True,
):
    """Makes a source of an image classification set of TensorFlow Datasets.

    Where all images have one shape, as in `cifar10`, `cifar100` and `stl10`, they are held decoded;
    otherwise, as in `imagenette`, the image files' contents are, and are decoded when they are
    read. Sets that are larger than memory, such as `imagenet2012`, are read from disk when they are
    needed, with `random_access`; so they too shuffle whole and resume anywhere.

    Args:
        name: str, with a version or a configuration if wanted, as for `tfds.load`.
        split: str, `"train"`, `"test"`, `"train[:10000]"` and so on.
        data_dir: path of the prepared data, or None for TFDS' own place. What is not there is
            downloaded.
        on_error: see `from_folder`.
        max_bytes: int, memory that the images may take, while they are read.
        random_access: bool, whether to leave them on disk, as ArrayRecord files (extra
            `[records]`), in which the set is prepared if it is not yet.
        labels: bool, whether to read the labels too: with `random_access` that is one pass over all
            examples, of a large set minutes. Training does not need them.

    Returns:
        An `ImageSource`; of a split without labels, one without.

    Raises:
        ImportError: if the extra that random access takes is not installed.
        ValueError: if the set has no images, or they take more than `max_bytes`.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> with tfds.testing.mock_data(num_examples=5):  # without downloading it
    ...     source = keras_isd.data.from_tfds("cifar10")
    >>> len(source), source.in_memory
    (5, True)
    """
    import tensorflow_datasets as tfds  # takes a second, and only this function needs it

    if random_access:
        with needs_extra("records"):
            import array_record  # noqa: F401 - TFDS reads by it
    file_format = "array_record" if random_access else None
    builder = tfds.builder(name, data_dir=data_dir, file_format=file_format)
    features = builder.info.features
    if "image" not in features or not isinstance(features["image"], tfds.features.Image):
        raise ValueError(
            "Argument `name` must be a data set whose features have an `image`. "
            f"Received: {name=} with features {sorted(features)}"
        )
    builder.download_and_prepare()
    if random_access:
        return _left_on_disk(builder, split, on_error, labels)
    fixed = None not in features["image"].shape and features["image"].np_dtype == np.uint8
    decoders = None if fixed else {"image": tfds.decode.SkipDecoding()}
    images, found, size = [], [], 0
    for example in tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders)):
        images.append(example["image"])
        found.append(example.get("label", -1))
        size += len(images[-1]) if isinstance(images[-1], bytes) else 2 * images[-1].nbytes
        if size > max_bytes:  # arrays are once more put together into one
            raise ValueError(
                "Argument `max_bytes` must be at least what the images take; with "
                "`random_access=True` they stay on disk. "
                f"Received: {max_bytes=}, reached after {len(images)} images of {name}"
            )
    known = found if labels and max(found, default=-1) >= 0 else None
    class_names = features["label"].names if "label" in features else None
    if fixed:
        return from_arrays(np.stack(images), known, class_names)
    files = FilesInMemory(images)
    decoder = Decoder(dtype=np.dtype(features["image"].np_dtype).name)
    return ImageSource(
        files, known, len(images), class_names=class_names, on_error=on_error, decoder=decoder
    )


def _left_on_disk(builder, split, on_error, labels):
    """A source of examples that are read from ArrayRecord files by their number."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    decoders = {"image": tfds.decode.SkipDecoding()}
    records = builder.as_data_source(split=split, decoders=decoders)
    has_labels = labels and "label" in features
    return ImageSource(
        FilesInRecords(records),
        [record["label"] for record in records] if has_labels else None,
        len(records),
        class_names=features["label"].names if has_labels else None,
        on_error=on_error,
        decoder=Decoder(dtype=np.dtype(features["image"].np_dtype).name),
    )
