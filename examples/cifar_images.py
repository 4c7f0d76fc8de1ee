"""The images of `examples/cifar.py`: where they come from, which of them, and their views."""

import zlib

import keras
import numpy as np
from absl import flags

import keras_isd
from keras_isd import augmentation, subsets

VIEWS = {
    "strong": augmentation.strong(32, augmentation.CIFAR10, blur=0),
    "weak": augmentation.weak(32, augmentation.CIFAR10),
}
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


def sets(train_images, test_images):
    """Images and labels: to train on, to compare with, to classify; and the rare classes."""
    held_out = -HELD_OUT if QUERIES.value == "validation" else None
    images, labels = load("train")
    queries = load("test") if held_out is None else (images[held_out:], labels[held_out:])
    images, labels = images[:held_out], labels[:held_out]
    bank = train = images[:train_images], labels[:train_images]
    rare = []
    if SUBSET.value != "all":
        if SUBSET.value == "two_large":
            rows = subsets.unbalanced(labels, LARGE_CLASSES, 100, SEED.value)
        else:
            rows = subsets.long_tail(labels, 100, SEED.value)
        train = images[rows], labels[rows]
        counts = np.bincount(train[1])
        rare = np.flatnonzero(counts <= max(100, counts.max() // 10)).tolist()
    return train, bank, [part[:test_images] for part in queries], rare


def fingerprint(images):
    """A number that tells a copy of the data, or an order of it, from another."""
    return zlib.crc32(np.ascontiguousarray(images))


def two_views(train, views, batch_size, **place):
    """Batches of two views, by tf.data."""
    query, key = views
    return keras_isd.data.two_view_dataset(
        keras_isd.data.from_arrays(*train),
        query=VIEWS[query],
        key=VIEWS[key],
        batch_size=batch_size,
        seed=SEED.value,
        **place,
    )


def training_batches(train, views, batch_size, initial_epoch, initial_step):
    """What `fit` takes from there on."""
    if VIEWS_ON.value == "device":
        return Shuffled(*train, batch_size, initial_epoch)
    place = {"initial_epoch": initial_epoch, "initial_step": initial_step}
    return two_views(train, views, batch_size, **place)


class Shuffled(keras.utils.PyDataset):
    """Batches of plain images and labels, in an order that seed and epoch fix."""

    def __init__(self, images, labels, batch_size, epoch=0):
        super().__init__()
        self.arrays, self.batch_size = (images, labels), batch_size
        self._begin(epoch)

    def _begin(self, epoch):
        self.epoch = epoch
        random = np.random.RandomState([SEED.value, epoch])
        self.order = random.permutation(len(self.arrays[0]))

    def __len__(self):
        return len(self.order) // self.batch_size

    def __getitem__(self, number):
        rows = self.order[number * self.batch_size :][: self.batch_size]
        return tuple(array[rows] for array in self.arrays)

    def on_epoch_end(self):
        self._begin(self.epoch + 1)


class Labelled:
    """Batches of images as the backbone sees them, and their labels."""

    def __init__(self, images, labels, batch_size=500):
        self.arrays, self.batch_size = (images, labels), batch_size

    def __len__(self):
        return -(-len(self.arrays[0]) // self.batch_size)

    def __iter__(self):
        view = augmentation.evaluation(32, augmentation.CIFAR10)
        for first in range(0, len(self.arrays[0]), self.batch_size):
            images, labels = (array[first:][: self.batch_size] for array in self.arrays)
            yield view(images), labels
