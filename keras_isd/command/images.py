"""The images that a part of the command works on."""

import csv
import pathlib

import numpy as np
from absl import flags

from keras_isd import data
from keras_isd.data.sources.file_table import delimiter_of

LABELS = flags.DEFINE_enum(
    "labels", "auto", ["auto", "folder", "none"], "Classes by subfolder; they only measure."
)
CHANNELS = flags.DEFINE_integer("channels", None, "Of the images, where files differ.", 1)
FOLLOW_LINKS = flags.DEFINE_bool("follow_links", False, "Take what links lead to.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where sets of TensorFlow Datasets are.")


def images_of(place, class_names=None):
    """A source of the images of a folder, a table `.csv`, arrays `.npz`, or `tfds:NAME/SPLIT`.

    Args:
        place: str.
        class_names: list of str, the classes of other images, in the order of their labels.
    """
    if place.startswith("tfds:"):
        name, _, split = place.removeprefix("tfds:").partition("/")
        return data.from_tfds(name, split or "train", data_dir=DATA_DIR.value)
    suffix = pathlib.Path(place).suffix
    if suffix == ".csv":
        path, label = _columns(place)
        return data.from_csv(
            place,
            path=path,
            label=label,
            class_names=label and class_names,
            channels=CHANNELS.value,
        )
    if suffix == ".npz":
        return _of_arrays(place)
    return data.from_folder(
        place,
        class_names=class_names,
        labels=None if LABELS.value == "none" else LABELS.value,
        channels=CHANNELS.value,
        follow_links=FOLLOW_LINKS.value,
    )


def _columns(place):
    """The column of paths, and that of labels; None where there is none or none is asked for."""
    with open(place, newline="", encoding="utf-8-sig") as file:
        columns = next(csv.reader(file, delimiter=delimiter_of(file)), [])
    has_labels = "label" in columns and LABELS.value != "none"
    # The command's own tables have a column `name`.
    by_name = "name" in columns and "path" not in columns
    return "name" if by_name else "path", "label" if has_labels else None


def _of_arrays(place):
    with np.load(place, allow_pickle=False) as arrays:
        if "images" not in arrays.files:
            raise ValueError(
                f"The file must have an array `images` (N, H, W, C). Received: {place} with "
                f"{arrays.files}"
            )
        is_labelled = "labels" in arrays.files and LABELS.value != "none"
        labels = arrays["labels"] if is_labelled else None
        return data.from_arrays(arrays["images"], labels)
