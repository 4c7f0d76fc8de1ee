"""Makes sources from TensorFlow Datasets."""

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
    """Makes a source from an image data set of TensorFlow Datasets.

    If all images have the same shape, as in `cifar10`, `cifar100` and `stl10`, they are decoded
    into memory. Otherwise, as in `imagenette`, the encoded files are held in memory and decoded on
    demand. Data sets larger than memory, such as `imagenet2012`, need `random_access`: they are
    read from disk on demand, and are still shuffled as a whole and resumed at any step.

    Args:
        name: str, optionally with a configuration and a version, as for `tfds.load`.
        split: str, such as `"train"`, `"test"` or `"train[:10000]"`. Defaults to `"train"`.
        data_dir: path of the prepared data; None for the default folder of TensorFlow Datasets.
            Missing data are downloaded. Defaults to None.
        on_error: see `from_folder`. Defaults to `"skip"`.
        max_bytes: int, memory in bytes that the images may take while they are read. Defaults to
            16 GiB.
        random_access: bool, whether to leave the images on disk in ArrayRecord files (extra
            `[records]`), in which the data set is prepared if necessary. Defaults to False.
        labels: bool, whether to read the labels. With `random_access` this takes a pass over all
            examples, which takes minutes for a large data set. Training does not need labels.
            Defaults to True.

    Returns:
        An `ImageSource`, without labels if the split has none.

    Raises:
        ImportError: if `random_access` is True and its extra is not installed.
        ValueError: if the data set has no images, or they take more than `max_bytes`.

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
            import array_record  # noqa: F401 - TensorFlow Datasets needs it
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
        return _from_records(builder, split, on_error, labels)
    is_fixed_size = None not in features["image"].shape and features["image"].np_dtype == np.uint8
    decoders = None if is_fixed_size else {"image": tfds.decode.SkipDecoding()}
    images, numbers, size = [], [], 0
    for example in tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders)):
        images.append(example["image"])
        numbers.append(example.get("label", -1))
        # Arrays count twice, because they are copied into one array at the end.
        size += len(images[-1]) if isinstance(images[-1], bytes) else 2 * images[-1].nbytes
        if size > max_bytes:
            raise ValueError(
                "Argument `max_bytes` must be at least the images' size in memory; with "
                "`random_access=True` they stay on disk. "
                f"Received: {max_bytes=}, exceeded after {len(images)} images of {name}"
            )
    known = numbers if labels and max(numbers, default=-1) >= 0 else None
    class_names = features["label"].names if "label" in features else None
    if is_fixed_size:
        return from_arrays(np.stack(images), known, class_names)
    files = FilesInMemory(images)
    decoder = Decoder(dtype=np.dtype(features["image"].np_dtype).name)
    return ImageSource(
        files, known, len(images), class_names=class_names, on_error=on_error, decoder=decoder
    )


def _from_records(builder, split, on_error, labels):
    """Makes a source of records that are read from ArrayRecord files by their number."""
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
