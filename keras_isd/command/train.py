"""Learns features from images, without labels: a folder in, a model out.

    keras-isd train PHOTOS --output=RUN
    keras-isd train PHOTOS --output=RUN --minutes=60          # as many epochs as fit into an hour
    keras-isd train PHOTOS --output=RUN --method=moco --epochs=200
    keras-isd train tfds:cifar10/train --output=RUN

PHOTOS is a folder with images at any depth, a table .csv with columns path and label, arrays
`images` in an .npz, or a set of TensorFlow Datasets. What is not given is chosen, and the reason is
said. The same line goes on with a run that was stopped. RUN holds flags and versions (run.json),
metrics (metrics.csv, and for TensorBoard), checkpoints, and at the end the model (model.keras).
"""

from absl import flags

from keras_isd import training
from keras_isd.command.images import images_of
from keras_isd.command.main import one_argument
from keras_isd.training.settings import NETWORKS, RECIPES

OUTPUT = flags.DEFINE_string(
    "output", None, "Folder of the run; it is gone on with.", required=True
)
MINUTES = flags.DEFINE_float("minutes", None, "How long it may take; no limit if not given.", 0)
SEED = flags.DEFINE_integer("seed", 0, "Fixes weights, order and views, and so the run.", 0)
METHODS = [method for method in RECIPES if method != "distillation"]
SETTINGS = {
    flag.name: flag
    for flag in (
        flags.DEFINE_enum("method", None, METHODS, "How to learn."),
        flags.DEFINE_integer("size", None, "Pixels of a side that the network sees.", 1),
        flags.DEFINE_enum("network", None, list(NETWORKS), "What to train."),
        flags.DEFINE_integer("batch_size", None, "Images of a step.", 1),
        flags.DEFINE_integer("queue_size", None, "Anchors.", 1),
        flags.DEFINE_integer("epochs", None, "Passes over the images.", 1),
        flags.DEFINE_float("learning_rate", None, "Of the first epoch.", 0),
    )
}


def main(arguments):
    source = images_of(one_argument(arguments, "one folder of images"))
    given = {name: flag.value for name, flag in SETTINGS.items()}
    settings = training.choose_settings(source, **given)
    print(f"{len(source):,} images of {source.channels} channels, {source.dtype}")
    for name, value in settings.values().items():
        print(f"  --{name}={value:<14} {settings.reasons[name]}")
    training.train_on_images(
        source, OUTPUT.value, settings, SEED.value, MINUTES.value, tell=_printed
    )
    print(f"saved {OUTPUT.value}/model.keras; next: keras-isd embed FOLDER --model={OUTPUT.value}")


def _printed(line):
    print(line, flush=True)
