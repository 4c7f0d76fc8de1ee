"""The images of `examples/cifar.py`: where they come from, which of them, and their views."""

import dataclasses
import zlib

import numpy as np
from absl import flags

from keras_isd import augmentation, data

LARGE_CLASSES = (0, 1)  # of the subset "two_large"
HELD_OUT = 5_000  # training images at the end of the split, for choices that tests are no part of

DATASET = flags.DEFINE_enum("dataset", "cifar10", ["cifar10", "cifar100"], "What to train on.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps the data.")
ARRAYS = flags.DEFINE_string(
    "arrays", None, "File .npz of x_train, y_train, x_test and y_test, instead of a data set."
)
SUBSET = flags.DEFINE_enum(
    "subset",
    "all",
    ["all", "two_large", "long_tail"],
    "Images to train on: all; two classes whole and 100 images of each other one; or classes that "
    "shrink to a hundredth. Of the second and third the preset takes none away.",
)
QUERIES = flags.DEFINE_enum(
    "queries",
    "test",
    ["test", "validation"],
    "Images of the table: the test set, or the last 5,000 training images, then not trained on.",
)
VIEWS_ON = flags.DEFINE_enum(
    "views_on",
    "host",
    ["host", "device"],
    "Where views are made: by tf.data, or inside the training step, without TensorFlow.",
)
TRAIN_IMAGES = flags.DEFINE_integer(
    "train_images", None, "Train on the first so many of the preset's; neighbours stay the same.", 1
)
SEED = flags.DEFINE_integer("seed", 0, "Fixes weights, order and views, and so the run.")


def load(split):
    """Images `(N, 32, 32, 3)` uint8 of a split, and their labels."""
    if ARRAYS.value:
        with np.load(ARRAYS.value) as arrays:
            return arrays[f"x_{split}"], arrays[f"y_{split}"].reshape(-1)
    import tensorflow_datasets as tfds

    dataset = tfds.load(
        DATASET.value, split=split, data_dir=DATA_DIR.value, as_supervised=True, batch_size=-1
    )
    return tfds.as_numpy(dataset)


@dataclasses.dataclass(frozen=True)
class Images:
    """What a run is of: pairs of images and labels, and what is known of them.

    Attributes:
        train, rows: to train on, and their rows in the training split, of `split_size`.
        bank, queries: to compare with, and to classify.
        rare: list of the rare classes.
    """

    train: tuple
    rows: np.ndarray
    split_size: int
    bank: tuple
    queries: tuple
    rare: list


def sets(train_images, test_images):
    """The `Images` of the flags, at the scale of a preset."""
    held_out = -HELD_OUT if QUERIES.value == "validation" else None
    images, labels = load("train")
    split_size = len(images)
    queries = load("test") if held_out is None else (images[held_out:], labels[held_out:])
    images, labels = images[:held_out], labels[:held_out]
    bank = images[:train_images], labels[:train_images]
    rows, rare = np.arange(len(bank[0]))[: TRAIN_IMAGES.value], []
    if SUBSET.value != "all":
        if SUBSET.value == "two_large":
            rows = data.unbalanced(labels, LARGE_CLASSES, 100, SEED.value)
        else:
            rows = data.long_tail(labels, 100, SEED.value)
        rows = rows[: TRAIN_IMAGES.value]
        counts = np.bincount(labels[rows])
        rare = np.flatnonzero(counts <= max(100, counts.max() // 10)).tolist()
    train = images[rows], labels[rows]
    queries = tuple(part[:test_images] for part in queries)
    return Images(train, rows, split_size, bank, queries, rare)


def fingerprint(array):
    """A number that tells a copy of the data, or an order of it, from another."""
    return zlib.crc32(np.ascontiguousarray(array))


def augmenters(views):
    """The query's and the key's view, by their names in `keras_isd.augmentation`."""
    return [
        getattr(augmentation, view)(
            32, augmentation.CIFAR10, **({"blur": 0} if view == "strong" else {})
        )
        for view in views
    ]


def two_views(train, views, batch_size, features=None, **place):
    """Batches of two views, or of one and a teacher's features, by tf.data."""
    query, key = augmenters(views)
    if features is not None:
        key, place = None, {**place, "teacher_features": features}
    return data.two_view_dataset(
        data.from_arrays(*train), query, key, batch_size, seed=SEED.value, **place
    )


def training_batches(train, features, views, batch_size, query_views, initial_epoch, initial_step):
    """What `fit` takes from there on."""
    if VIEWS_ON.value == "device":
        images, labels = train
        if features is not None:
            images = {"images": images, "key": features}
        order = {"seed": SEED.value, "drop_remainder": True, "initial_epoch": initial_epoch}
        return data.ArrayBatches(images, labels, batch_size=batch_size, **order)
    place = {"initial_epoch": initial_epoch, "initial_step": initial_step}
    return two_views(train, views, batch_size, features, query_views=query_views, **place)


def labelled(images, labels):
    """Batches of images as the backbone sees them, and their labels."""
    view = augmentation.evaluation(32, augmentation.CIFAR10)
    return data.ViewBatches(images, labels, view, batch_size=500)
