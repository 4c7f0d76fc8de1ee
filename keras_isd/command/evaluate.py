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
from keras_isd.command import labelled
from keras_isd.command.labelled import SEED, labelled_parts
from keras_isd.command.main import one_argument
from keras_isd.data.batches.view_batches import readable_views
from keras_isd.training.comparison import networks_beside

flags.adopt_module_key_flags(labelled)
MODEL = flags.DEFINE_string("model", None, "Folder of a run.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "File .json to write as well.")


def main(arguments):
    train, test = labelled_parts(one_argument(arguments, "one folder of images with labels"))
    model, view = training.load_run(MODEL.value)
    keras.utils.set_random_seed(SEED.value)
    networks = networks_beside(model)
    parts = []
    for source in (train, test):
        views, rows = readable_views(source, view)
        parts.append((views, source.labels[rows]))
    found = {name: _accuracies(network, *parts) for name, network in networks.items()}
    chance = float(np.bincount(parts[1][1]).max() / len(parts[1][1]))
    print(f"{len(parts[0][1]):,} images to learn from, {len(parts[1][1]):,} to classify")
    print(f"{'':<20}" + "".join(f"{name:>12}" for name in found))
    for row in found["student"]:
        print(f"{row:<20}" + "".join(f"{columns[row]:>12.3f}" for columns in found.values()))
    print(f"The largest class alone would have {chance:.3f}.")
    if OUTPUT.value:
        pathlib.Path(OUTPUT.value).write_text(json.dumps({"chance": chance, **found}, indent=1))


def _accuracies(network, train, test):
    bank, features = network(train[0]), network(test[0])
    k_nearest = evaluation.knn_accuracies(bank, train[1], features, test[1])
    linear = evaluation.linear_probe(bank, train[1], features, test[1], seed=SEED.value)
    return {**{name: found["top1"] for name, found in k_nearest.items()}, "linear": linear["top1"]}
