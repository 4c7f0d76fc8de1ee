"""The images that a part of the command works on."""

import pathlib

from absl import flags

from keras_isd import data

LABELS = flags.DEFINE_enum(
    "labels", "auto", ["auto", "folder", "none"], "Classes by subfolder; they only measure."
)
CHANNELS = flags.DEFINE_integer("channels", None, "Of the images, where files differ.", 1)
FOLLOW_LINKS = flags.DEFINE_bool("follow_links", False, "Take what links lead to.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where sets of TensorFlow Datasets are.")


def images_of(place):
    """A source of the images of a folder, a table `.csv`, arrays `.npz`, or `tfds:NAME/SPLIT`."""
    if place.startswith("tfds:"):
        name, _, split = place.removeprefix("tfds:").partition("/")
        return data.from_tfds(name, split or "train", data_dir=DATA_DIR.value)
    suffix = pathlib.Path(place).suffix
    if suffix == ".csv":
        return data.from_csv(place, channels=CHANNELS.value)
    if suffix == ".npz":
        return _of_arrays(place)
    return data.from_folder(
        place,
        labels=None if LABELS.value == "none" else LABELS.value,
        channels=CHANNELS.value,
        follow_links=FOLLOW_LINKS.value,
    )


def _of_arrays(place):
    import numpy as np

    with np.load(place, allow_pickle=False) as arrays:
        if "images" not in arrays.files:
            raise ValueError(
                f"The file must have an array `images` (N, H, W, C). Received: {place} with "
                f"{arrays.files}"
            )
        labels = arrays["labels"] if "labels" in arrays.files else None
        return data.from_arrays(arrays["images"], labels)
