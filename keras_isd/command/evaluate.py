"""Says what features are worth, by images with labels.

    keras-isd evaluate LABELLED --model=RUN
    keras-isd evaluate TRAIN --test=TEST --model=RUN

LABELLED is a folder with a subfolder for each class. Without `--test` a fifth of each class is
classified by the others. Beside the student stand the pixels, an untrained network of the same kind
and chance. The accuracies are of the nearest neighbours, and of a linear layer.
"""

import json
import pathlib

import keras
import numpy as np
from absl import flags

from keras_isd import evaluation, training
from keras_isd.command import images
from keras_isd.command.images import images_of
from keras_isd.command.main import one_argument
from keras_isd.data import ViewBatches

flags.adopt_module_key_flags(images)
MODEL = flags.DEFINE_string("model", None, "Folder of a run.", required=True)
TEST = flags.DEFINE_string("test", None, "Other images, of the same classes, to classify.")
SEED = flags.DEFINE_integer("seed", 0, "Of the linear layer, and of what is classified.", 0)
OUTPUT = flags.DEFINE_string("output", None, "File .json to write as well.")
PIXELS = 16  # of a side, of images as their own features


def main(arguments):
    source = images_of(one_argument(arguments, "one folder of images with labels"))
    train, test = _parts(_labelled(source))
    model, view = training.load_run(MODEL.value)
    keras.utils.set_random_seed(SEED.value)
    networks = {
        "pixels": _pixels,
        "untrained": _features_by(keras.models.clone_model(model.student_backbone)),
        "student": _features_by(model.student_backbone),
    }
    parts = [_views(part, view) for part in (train, test)]
    found = {name: _accuracies(network, *parts) for name, network in networks.items()}
    chance = float(np.bincount(parts[1][1]).max() / len(parts[1][1]))
    print(f"{len(parts[0][1]):,} images to learn from, {len(parts[1][1]):,} to classify")
    print(f"{'':<20}" + "".join(f"{name:>12}" for name in found))
    for row in found["student"]:
        print(f"{row:<20}" + "".join(f"{columns[row]:>12.3f}" for columns in found.values()))
    print(f"The largest class alone would have {chance:.3f}.")
    if OUTPUT.value:
        pathlib.Path(OUTPUT.value).write_text(json.dumps({"chance": chance, **found}, indent=1))


def _labelled(source):
    """The images of a source that have a label."""
    if source.labels is None or source.labels.max() < 0:
        raise ValueError("Images must have labels: a subfolder for each class. Received: none")
    return source.subset(np.flatnonzero(source.labels >= 0))


def _parts(source):
    """Images to learn from, and to classify: others, or a fifth of each class."""
    if TEST.value:
        return source, _labelled(images_of(TEST.value, source.class_names))
    order = np.random.RandomState(SEED.value).permutation(len(source))
    chosen = []
    for label in np.unique(source.labels):
        rows = order[source.labels[order] == label]
        chosen.append(rows[: len(rows) // 5])
    test = np.sort(np.concatenate(chosen))
    if not len(test):
        raise ValueError(
            "Without --test there must be a class of at least five images, of which a fifth is "
            f"classified. Received: classes of at most {np.bincount(source.labels).max()}"
        )
    return source.subset(np.setdiff1d(np.arange(len(source)), test)), source.subset(test)


def _views(source, view):
    """Views `(N, H, W, C)` of images that can be read, and their labels."""
    batches = ViewBatches(source, None, view, 100)
    views = np.concatenate([keras.ops.convert_to_numpy(batch[0]) for batch in batches])
    readable = ~np.isnan(views[:, 0, 0, 0])
    return views[readable], source.labels[readable]


def _features_by(network):
    return lambda views: network.predict(views, verbose=0)


def _pixels(views):
    side = min(PIXELS, views.shape[1])
    small = keras.ops.image.resize(views, (side, side), antialias=True, data_format="channels_last")
    return keras.ops.convert_to_numpy(small).reshape(len(views), -1)


def _accuracies(network, train, test):
    bank, features = network(train[0]), network(test[0])
    k_nearest = evaluation.knn_accuracies(bank, train[1], features, test[1])
    linear = evaluation.linear_probe(bank, train[1], features, test[1], seed=SEED.value)
    return {**{name: found["top1"] for name, found in k_nearest.items()}, "linear": linear["top1"]}
