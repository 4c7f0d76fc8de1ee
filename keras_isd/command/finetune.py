"""Trains a classifier from the network of a run and from images with labels.

    keras-isd finetune LABELLED --model=RUN --output=classifier
    keras-isd finetune LABELLED --test=TEST --model=RUN --output=classifier
    keras-isd finetune selected.csv --model=RUN --output=classifier --classify=PHOTOS

LABELLED is a folder with a subfolder for each class, or a table .csv with columns path (or name)
and label, such as keras-isd select writes, with its labels filled in.
Without `--test` a fifth of each class is not learned from, but classified. The whole network is
trained on with labels; beside its accuracy stands that of a linear layer on the features as they
are, and with `--untrained` that of the same network from nothing. `classifier` gets the network
(classifier.keras), the classes and the view that it takes (classes.json, view.json), and with
`--classify` a table of other images and their classes (labels.csv).
"""

import json
import pathlib
import shutil

import keras
from absl import flags

from keras_isd import augmentation, evaluation, training
from keras_isd.command import labelled
from keras_isd.command.images import images_of
from keras_isd.command.labelled import SEED, labelled_parts
from keras_isd.command.main import one_argument
from keras_isd.command.tables import write_table
from keras_isd.data import ViewBatches
from keras_isd.data.fingerprint import absolute_name
from keras_isd.training.run_files import read_statistics

flags.adopt_module_key_flags(labelled)
MODEL = flags.DEFINE_string("model", None, "Folder of a run.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "Folder of the classifier.", required=True)
EPOCHS = flags.DEFINE_integer("epochs", None, "As many as come to 1,000 steps, 20 to 100.", 1)
LEARNING_RATE = flags.DEFINE_float("learning_rate", 0.02, "Of the first epoch.", 0)
UNTRAINED = flags.DEFINE_bool("untrained", False, "Whether to train one from nothing as well.")
CLASSIFY = flags.DEFINE_string("classify", None, "Other images, without labels, to classify.")
BATCH_SIZE, STEPS, FEWEST, MOST = 50, 1000, 20, 100
FEW = 20  # images to classify
FROM_NOTHING = 0.05  # a rate: an untrained network is still to find its features


def main(arguments):
    folder = pathlib.Path(OUTPUT.value)
    if (folder / "run.json").is_file():
        raise ValueError(f"--output must not be the folder of a run. Received: {folder}")
    place = one_argument(arguments, "one folder of images with labels")
    if CLASSIFY.value and pathlib.Path(place).absolute() == (folder / "labels.csv").absolute():
        raise ValueError(f"--output must not be where the labels are. Received: {folder}")
    train, test = labelled_parts(place)
    folder.mkdir(parents=True, exist_ok=True)
    model, view = training.load_run(MODEL.value)
    others = CLASSIFY.value and images_of(CLASSIFY.value)
    backbone = model.student_backbone
    asked = ViewBatches(test, None, view, 100)
    known, unknown = (
        evaluation.extract_features(backbone, batches, verbose=0)
        for batches in (ViewBatches(train, None, view, 100), asked)
    )
    probe = evaluation.linear_probe(
        known.features, known.labels, unknown.features, unknown.labels, seed=SEED.value
    )
    found = {"linear layer on the features": probe["top1"]}
    if UNTRAINED.value:
        keras.utils.set_random_seed(SEED.value)
        untrained = _trained(keras.models.clone_model(backbone), train, FROM_NOTHING)
        found["whole network, from nothing"] = _accuracy(untrained, asked)
    classifier = _trained(backbone, train, LEARNING_RATE.value)
    found["whole network, pre-trained"] = _accuracy(classifier, asked)
    few = ", so few that the figures say little" * (len(test) < FEW)
    print(f"{len(train):,} images to learn from, {len(test):,} to classify{few}")
    for name, accuracy in found.items():
        print(f"{name:<30}{accuracy:>8.3f}")
    classifier.save(folder / "classifier.keras")
    names = train.class_names or [str(label) for label in range(train.labels.max() + 1)]
    (folder / "classes.json").write_text(json.dumps(names, indent=1))
    shutil.copy(pathlib.Path(MODEL.value, "view.json"), folder)
    print(f"saved {folder / 'classifier.keras'}")
    if others:
        _classify(classifier, others, view, names, folder / "labels.csv")


def _trained(backbone, source, learning_rate):
    """A classifier of weak views: a crop and a flip."""
    keras.utils.set_random_seed(SEED.value)
    weak = augmentation.weak(*read_statistics(MODEL.value))
    batches = ViewBatches(source, None, weak, BATCH_SIZE, seed=SEED.value)
    epochs = min(MOST, max(FEWEST, STEPS // len(batches)))
    return evaluation.fine_tuned_classifier(
        backbone,
        batches,
        int(source.labels.max()) + 1,
        EPOCHS.value or epochs,
        learning_rate,
        seed=SEED.value,
    )


def _accuracy(classifier, batches):
    found = evaluation.extract_features(classifier, batches, verbose=0)
    return float((found.features.argmax(axis=1) == found.labels).mean())


def _classify(classifier, source, view, names, path):
    """Writes the classes of images, and the probability that the classifier gives them."""
    batches = ViewBatches(source, None, view, 100)
    scores = evaluation.extract_features(classifier, batches, verbose=0)
    shares = keras.ops.convert_to_numpy(keras.ops.softmax(scores.features))
    called = source.names and [*map(absolute_name, source.names)]
    called = called or [f"row {row}" for row in range(len(source))]
    found = zip(scores.indices, shares.argmax(axis=1), shares.max(axis=1))
    table = [(called[row], names[label], float(share)) for row, label, share in found]
    write_table(path, ["name", "label", "probability"], table)
