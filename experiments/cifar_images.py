"""The images of `experiments/cifar.py`: source, subset and views."""

import dataclasses
import zlib

import numpy as np
from absl import flags
from absl import logging as absl_logging

from keras_isd import augmentation, data
from keras_isd_start import standard_error_held_back

LARGE_CLASSES = (0, 1)  # the two whole classes of the subset "two_large"
HELD_OUT = 5_000  # training images at the end of the split, for choices made without test images

DATASET = flags.DEFINE_enum("dataset", "cifar10", ["cifar10", "cifar100"], "Data set to train on.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps the data.")
ARRAYS = flags.DEFINE_string(
    "arrays", None, "File .npz of x_train, y_train, x_test and y_test, instead of a data set."
)
SUBSET = flags.DEFINE_enum(
    "subset",
    "all",
    ["all", "two_large", "long_tail"],
    "Images to train on: all; two whole classes and 100 images of each other class; or classes "
    "whose sizes decay to a hundredth. The preset does not shorten the last two.",
)
QUERIES = flags.DEFINE_enum(
    "queries",
    "test",
    ["test", "validation"],
    "Images to classify: the test set, or the last 5,000 training images, which are then not "
    "trained on.",
)
VIEWS_ON = flags.DEFINE_enum(
    "views_on",
    "host",
    ["host", "device"],
    "Where views are made: by tf.data, or inside the training step, without TensorFlow.",
)
TRAIN_IMAGES = flags.DEFINE_integer(
    "train_images",
    None,
    "Train on only the first ones of the preset's images; the bank of neighbours stays the same.",
    1,
)
SMALL_AREA = flags.DEFINE_list(
    "small_area", ["0.05", "0.4"], "Smallest and largest share of the image in a small view."
)
SEED = flags.DEFINE_integer("seed", 0, "Determines weights, order and views, and so the run.")


def load(split):
    """Images `(N, 32, 32, 3)` uint8 of a split, and their labels."""
    if ARRAYS.value:
        with np.load(ARRAYS.value) as arrays:
            return arrays[f"x_{split}"], arrays[f"y_{split}"].reshape(-1)
    with standard_error_held_back():  # TensorFlow's start-up messages under another backend
        import tensorflow_datasets as tfds

    absl_logging.set_verbosity(absl_logging.WARNING)  # TensorFlow Datasets logs every file
    dataset = tfds.load(
        DATASET.value, split=split, data_dir=DATA_DIR.value, as_supervised=True, batch_size=-1
    )
    return tfds.as_numpy(dataset)


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of a run: pairs of images and labels.

    Attributes:
        train: pair to train on.
        rows: rows of `train` in the training split.
        split_size: int, number of images in the training split.
        bank: pair whose images are the neighbours.
        queries: pair to classify.
        rare: list of the rare classes.
    """

    train: tuple
    rows: np.ndarray
    split_size: int
    bank: tuple
    queries: tuple
    rare: list


def select_images(train_images, test_images):
    """The `Images` that the flags select, at the scale of a preset."""
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
    """A checksum that distinguishes copies of a data set by pixels and order."""
    return zlib.crc32(np.ascontiguousarray(array))


def make_augmenters(views):
    """The query's and the key's view, by their names in `keras_isd.augmentation`."""
    return [
        getattr(augmentation, view)(
            32, augmentation.CIFAR10, **({"blur": 0} if view == "strong" else {})
        )
        for view in views
    ]


def two_view_batches(train, views, batch_size, features=None, **kwargs):
    """Batches of two views, or of one view and a teacher's features, made by tf.data."""
    query, key = make_augmenters(views)
    if features is not None:
        key, kwargs = None, {**kwargs, "teacher_features": features}
    return data.two_view_dataset(
        data.from_arrays(*train), query, key, batch_size, seed=SEED.value, **kwargs
    )


def small_view(query):
    """The small view that goes with a query: of half the side, and of a part of the image."""
    return query.with_crop(16, tuple(map(float, SMALL_AREA.value)))


def training_batches(train, features, views, batch_size, several, initial_epoch, initial_step):
    """Batches for `fit`, from that epoch and step on; `several` has the numbers of views."""
    if VIEWS_ON.value == "device":
        images, labels = train
        if features is not None:
            images = {"images": images, "key": features}
        order = {"seed": SEED.value, "drop_remainder": True, "initial_epoch": initial_epoch}
        return data.ArrayBatches(images, labels, batch_size=batch_size, **order)
    start = {"initial_epoch": initial_epoch, "initial_step": initial_step}
    if several.get("small_views"):
        start["small_query"] = small_view(make_augmenters(views)[0])
    return two_view_batches(train, views, batch_size, features, **several, **start)


def evaluation_batches(images, labels):
    """Batches of images as the backbone sees them in evaluation, and their labels."""
    view = augmentation.evaluation(32, augmentation.CIFAR10)
    return data.ViewBatches(images, labels, view, batch_size=500)
