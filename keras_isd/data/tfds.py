"""Data sets of TensorFlow Datasets."""

import numpy as np

from keras_isd.data.arrays import from_arrays
from keras_isd.data.image_source import GIBIBYTE, ImageSource
from keras_isd.data.stored_images import FilesInMemory


def from_tfds(name, split="train", data_dir=None, on_error="skip", max_bytes=16 * GIBIBYTE):
    """Makes a source of an image classification set of TensorFlow Datasets.

    Where all images have one shape, as in `cifar10`, `cifar100` and `stl10`, they are held decoded;
    otherwise, as in `imagenette`, the image files' contents are, and are decoded when they are
    read. `imagenet2012` is for `from_folder`: TFDS reads it only from beginning to end, and what
    cannot be read in any order cannot be shuffled whole or resumed.

    Args:
        name: str, with a version or a configuration if wanted, as for `tfds.load`.
        split: str, `"train"`, `"test"`, `"train[:10000]"` and so on.
        data_dir: path of the prepared data, or None for TFDS' own place. What is not there is
            downloaded.
        on_error: see `from_folder`.
        max_bytes: int, memory that the images may take, while they are read.

    Returns:
        An `ImageSource`; of a split without labels, one without.

    Raises:
        ValueError: if the set has no images, or they take more than `max_bytes`.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> with tfds.testing.mock_data(num_examples=5):  # without downloading it
    ...     source = keras_isd.data.from_tfds("cifar10")
    >>> len(source), source.in_memory
    (5, True)
    """
    import tensorflow_datasets as tfds  # takes a second, and only this function needs it

    builder = tfds.builder(name, data_dir=data_dir)
    features = builder.info.features
    if "image" not in features or not isinstance(features["image"], tfds.features.Image):
        raise ValueError(
            "Argument `name` must be a data set whose features have an `image`. "
            f"Received: {name=} with features {sorted(features)}"
        )
    builder.download_and_prepare()
    fixed = None not in features["image"].shape and features["image"].np_dtype == np.uint8
    decoders = None if fixed else {"image": tfds.decode.SkipDecoding()}
    images, labels, size = [], [], 0
    for example in tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders)):
        images.append(example["image"])
        labels.append(example.get("label", -1))
        size += len(images[-1]) if isinstance(images[-1], bytes) else 2 * images[-1].nbytes
        if size > max_bytes:  # arrays are once more put together into one
            raise ValueError(
                "Argument `max_bytes` must be at least what the images take: for sets as large as "
                "`imagenet2012` use `from_folder`, which reads files when they are needed. "
                f"Received: {max_bytes=}, reached after {len(images)} images of {name}"
            )
    known = labels if max(labels, default=-1) >= 0 else None
    class_names = features["label"].names if "label" in features else None
    if fixed:
        return from_arrays(np.stack(images), known, class_names)
    files = FilesInMemory(images)
    return ImageSource(files, known, len(images), class_names=class_names, on_error=on_error)
