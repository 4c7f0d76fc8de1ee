"""Makes sources of the data sets of Hugging Face's package `datasets`."""

import os

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.sources.function import RowNames, from_function


def from_huggingface(
    dataset,
    image="image",
    label="label",
    group=None,
    *,
    split=None,
    class_names=None,
    **options,
):
    """Makes a source of a data set of Hugging Face (extra `[huggingface]`).

    Encoded images are read as they are stored, and decoded as those of every other source.

    Args:
        dataset: `datasets.Dataset`; or str, the name of a data set, which is downloaded if it is
            missing, or the path of a folder that `save_to_disk` wrote. Load data sets that need
            further options with `datasets.load_dataset`.
        image: str, the column of images: an `Image` feature, bytes, paths of files, or arrays.
            Defaults to `"image"`.
        label: str, the column of labels, integers or class names; or None. Defaults to `"label"`.
        group: str, the column of groups, such as plates or patients; or None. Defaults to None.
        split: str, such as `"train"`, the part of a named data set; None if it has a single one.
            Defaults to None.
        class_names: list of str, the classes in the order of their labels; None for those of the
            data set. Defaults to None.
        **options: `on_error`, `channels`, `dtype` and `decode`, see `from_folder`.

    Returns:
        An `ImageSource`. Names are such as `hf://beans/train[7]` if the data set is given by name.

    Raises:
        ImportError: if the extra is not installed.
        ValueError: if a column is missing, the column of images has another type, or the data set
            is a stream (`IterableDataset`) or has several splits and `split` is None.

    Example:

    >>> import datasets
    >>> from PIL import Image
    >>> table = {"image": [Image.new("RGB", (9, 8))] * 2, "label": [1, 0]}
    >>> features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    >>> dataset = datasets.Dataset.from_dict(table, datasets.Features(features))
    >>> source = keras_isd.data.from_huggingface(dataset)
    >>> source[1].shape, source.labels.tolist(), source.class_names
    ((8, 9, 3), [1, 0], ['cat', 'dog'])
    """
    names = None
    if isinstance(dataset, (str, os.PathLike)):
        name, dataset = os.fspath(dataset), load_dataset(dataset, split)
        part = f"/{dataset.split or split}" if dataset.split or split else ""
        place = f"{name}{part}" if os.path.isdir(name) else f"hf://{name}{part}"
        names = RowNames([place], [len(dataset)])
    _check(dataset, {"image": image, "label": label, "group": group})
    if label is not None and class_names is None:
        class_names = getattr(dataset.features[label], "names", None)
    return from_function(
        DatasetImages(dataset, image),
        len(dataset),
        label and _read_column(dataset, label),
        class_names,
        groups=group and [*map(str, _read_column(dataset, group))],
        names=names,
        **options,
    )


def load_dataset(name, split=None):
    """Loads a split of a data set by its name, or from a folder that `save_to_disk` wrote.

    Raises:
        ImportError: if the extra is not installed.
        ValueError: if it has several splits and `split` is None, or lacks this one.
    """
    with needs_extra("huggingface"):
        import datasets
    name = os.fspath(name)
    files = ("dataset_dict.json", "state.json")  # that `save_to_disk` writes
    if not any(os.path.isfile(os.path.join(name, file)) for file in files):
        found = datasets.load_dataset(name, split=split)
    else:
        found = datasets.load_from_disk(name)
    if not isinstance(found, dict):
        return found
    split = next(iter(found)) if split is None and len(found) == 1 else split
    if split not in found:
        raise ValueError(
            f"Argument `split` must be one of {', '.join(found)}. Received: {split=} of {name}"
        )
    return found[split]


def find_columns(dataset):
    """The columns of images and of classes of a data set; None for one that it lacks.

    They are the first with images, and the first with class names or else `"label"`.
    """
    import datasets

    features = dataset.features
    images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    classes = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    classes += ["label"] if "label" in features else []
    return next(iter(images), None), next(iter(classes), None)


class DatasetImages:
    """Reads the images of a data set, encoded as they are stored.

    Args:
        dataset: `datasets.Dataset`. If it has a transform of its own, that makes the images.
        column: str.
    """

    def __init__(self, dataset, column):
        import datasets

        self._arguments = dataset, column
        self._column, self._dtype = column, None
        if dataset.format["type"] != "custom":
            dataset = dataset.with_format(None).select_columns([column])
            kind = dataset.features[column]
            if isinstance(kind, datasets.Image):
                dataset = dataset.cast_column(column, datasets.Image(decode=False))
            elif not isinstance(kind, datasets.Value):
                self._dtype = kind.dtype  # an array, which is read as nested lists
        self._dataset = dataset

    def __call__(self, row):
        image = self._dataset[row][self._column]
        return image if self._dtype is None else np.asarray(image, self._dtype)

    def __reduce__(self):
        return DatasetImages, self._arguments


def _check(dataset, columns):
    import datasets

    if not isinstance(dataset, datasets.Dataset):
        raise ValueError(
            "Argument `dataset` must be a `datasets.Dataset`, a name or a path; of several splits, "
            f"one, such as dataset['train']. Received: {type(dataset).__name__}"
        )
    for argument, column in columns.items():
        if column is not None and column not in dataset.features:
            raise ValueError(
                f"Argument `{argument}` must name a column. "
                f"Received: {column}, and the columns are {', '.join(dataset.features)}"
            )
    kind = dataset.features[columns["image"]]
    texts = ("binary", "large_binary", "string", "large_string")
    is_file = isinstance(kind, datasets.Image) or getattr(kind, "dtype", None) in texts
    is_array = isinstance(kind, (datasets.Array2D, datasets.Array3D))
    if not (is_file or is_array or dataset.format["type"] == "custom"):
        raise ValueError(
            "Argument `image` must name a column of images, bytes, paths or arrays. "
            f"Received: {columns['image']} of {kind}"
        )


def _read_column(dataset, column):
    return dataset.with_format(None).select_columns([column])[:][column]
