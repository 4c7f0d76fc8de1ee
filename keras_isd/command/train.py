"""Learns features from images, without labels: a folder in, a model out.

    keras-isd train PHOTOS --output=RUN
    keras-isd train PHOTOS --output=RUN --minutes=60          # as many epochs as fit into an hour
    keras-isd train PHOTOS --output=RUN --method=moco --epochs=200
    keras-isd train PHOTOS --output=RUN --teacher=EfficientNetV2B0   # learns what that one sees
    keras-isd train tfds:cifar10/train --output=RUN

PHOTOS is a folder with images at any depth, a table .csv with a column path (or name), arrays
`images` in an .npz, or a set of TensorFlow Datasets. What is not given is chosen, and the reason is
said. The same line goes on with a run that was stopped. RUN holds flags and versions (run.json),
metrics (metrics.csv, and for TensorBoard where it is installed), checkpoints, and at the end the
model (model.keras) and a page to look at (report.html).
"""

import math
import pathlib

from absl import flags

from keras_isd import augmentation, evaluation, training
from keras_isd.command import images
from keras_isd.command.images import images_of
from keras_isd.command.main import one_argument
from keras_isd.training.run_files import check_folder
from keras_isd.training.settings import NETWORKS, RECIPES

flags.adopt_module_key_flags(images)
OUTPUT = flags.DEFINE_string(
    "output", None, "Folder of the run; it is gone on with.", required=True
)
MINUTES = flags.DEFINE_float(
    "minutes", None, "How long it may take; as long as it takes if not given.", 0
)
SEED = flags.DEFINE_integer("seed", 0, "Fixes weights, order and views, and so the run.", 0)
TEACHER = flags.DEFINE_string(
    "teacher", None, "A frozen teacher: of keras.applications or keras-hub, or a .keras file."
)
TEACHER_SIZE = flags.DEFINE_integer("teacher_size", 224, "Pixels that the teacher sees.", 1)
TEACHER_FEATURES = flags.DEFINE_string(
    "teacher_features", None, "File .npy of a teacher's features, a row an image, instead."
)
METHODS = [method for method in RECIPES if method != "distillation"]
SETTINGS = {
    flag.name: flag
    for flag in (
        flags.DEFINE_enum("method", None, METHODS, "How to learn."),
        flags.DEFINE_integer("size", None, "Pixels of a side that the network sees.", 1),
        flags.DEFINE_integer("stored_size", None, "Shorter side of copies to read; 0 for none.", 0),
        flags.DEFINE_enum("network", None, list(NETWORKS), "What to train."),
        flags.DEFINE_integer("batch_size", None, "Images of a step.", 1),
        flags.DEFINE_integer("queue_size", None, "Anchors.", 1),
        flags.DEFINE_integer("epochs", None, "Passes over the images.", 1),
        flags.DEFINE_float("learning_rate", None, "Of the first epoch.", 0),
    )
}


def main(arguments):
    place = one_argument(arguments, "one folder of images")
    _check_flags(place)
    source = images_of(place)
    given = {name: flag.value for name, flag in SETTINGS.items()}
    if has_teacher():
        given["method"] = "distillation"
    settings = training.choose_settings(source, **given)
    print(f"{len(source):,} images of {source.channels} channels, {source.dtype}")
    for name, value in settings.values().items():
        print(f"  {f'--{name}={value}':<22}{settings.reasons[name]}", flush=True)
    check_folder(OUTPUT.value, settings, source, SEED.value)  # before a teacher looks at images
    minutes = math.inf if MINUTES.value is None else MINUTES.value
    model = training.train_on_images(
        source, OUTPUT.value, settings, SEED.value, minutes, _teacher_features(source), _printed
    )
    _, view = training.load_run(OUTPUT.value)
    report = training.write_run_report(OUTPUT.value, source, model, view, settings, SEED.value)
    if report is not None:
        print(f"what it has learned: {report}, to open in a browser")
    print(f"saved {OUTPUT.value}/model.keras; next: keras-isd embed FOLDER --model={OUTPUT.value}")


def has_teacher():
    return bool(TEACHER.value or TEACHER_FEATURES.value)


def _check_flags(place):
    if MINUTES.value == 0:
        raise flags.Error("--minutes must be above 0. Received: 0")
    if TEACHER.value and TEACHER_FEATURES.value:
        raise flags.Error("Give --teacher or --teacher_features, not both. Received: both")
    if has_teacher() and SETTINGS["method"].value:
        raise flags.Error(
            "--method is of runs without a teacher. "
            f"Received: --method={SETTINGS['method'].value} and a teacher"
        )
    folder, output = pathlib.Path(place).resolve(), pathlib.Path(OUTPUT.value).resolve()
    if folder.is_dir() and output.is_relative_to(folder):
        raise ValueError(
            "--output must not lie in the folder of images, where its files would be taken for "
            f"images too. Received: --output={OUTPUT.value}, in {place}"
        )


def _teacher_features(source):
    """The file of a teacher's features, written once, or None."""
    if TEACHER.value is None:
        return TEACHER_FEATURES.value
    path = pathlib.Path(OUTPUT.value, "teacher_features.npy")
    pixels = augmentation.Augmenter([augmentation.CentralCrop(TEACHER_SIZE.value)])
    teacher = training.make_teacher(TEACHER.value, TEACHER_SIZE.value)
    evaluation.cache_features(teacher, source, pixels, path)
    return path


def _printed(line):
    print(line, flush=True)
