"""Writes the features of images to a table: .parquet, .csv or .npz.

    keras-isd embed PHOTOS --model=RUN --output=features.parquet
    keras-isd embed PHOTOS --model=RUN --output=features.parquet --shard=2/8
    keras-isd embed PHOTOS --model=model.keras --size=224 --output=features.csv

The model is the folder of a run of `keras-isd train`, or a .keras file of any network from images
to features. The table has the files' names. It is written in pieces, in bounded memory, and the
same line goes on where it was stopped. `--shard=2/8` is the second of eight parts, for as many
machines; its file is `features-2-of-8.parquet`, and the other parts of the command take
"features-*-of-8.parquet".
"""

import pathlib

import keras
import numpy as np
from absl import flags

from keras_isd import augmentation, evaluation, training
from keras_isd.command import images
from keras_isd.command.images import images_of
from keras_isd.command.main import one_argument
from keras_isd.data.fingerprint import absolute_name
from keras_isd.evaluation.feature_table import checked_table

flags.adopt_module_key_flags(images)
MODEL = flags.DEFINE_string("model", None, "Folder of a run, or a .keras file.", required=True)
OUTPUT = flags.DEFINE_string("output", "features.parquet", "Table to write.")
SIZE = flags.DEFINE_integer("size", None, "Pixels that the model of a file sees.", 1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Images at a time.", 1)
SHARD = flags.DEFINE_string("shard", None, "PART/PARTS, such as 2/8.")


def main(arguments):
    checked_table(OUTPUT.value)  # before anything is computed
    source = images_of(one_argument(arguments, "one folder of images"))
    model, view = _model_and_view()
    output, rows = _part(pathlib.Path(OUTPUT.value), len(source))
    pieces = output.with_name(f".{output.name}.npy")
    part = source.subset(rows)
    features = evaluation.cache_features(model, part, view, pieces, BATCH_SIZE.value)
    # Of an image that could not be read there are zeros.
    read = np.concatenate([features[i : i + 4096].any(axis=1) for i in range(0, len(rows), 4096)])
    names = None if part.names is None else [*map(absolute_name, part.names)]
    found = evaluation.Features(features, part.labels, rows, names)
    evaluation.save_features(output, found, np.flatnonzero(read))
    pieces.unlink()
    missing = "" if read.all() else f"; {np.count_nonzero(~read):,} could not be read"
    count = np.count_nonzero(read)
    print(f"{count:,} images, {features.shape[1]} features each, to {output}{missing}")


def _model_and_view():
    path = pathlib.Path(MODEL.value)
    if path.is_dir():
        return training.load_run(path)
    if not path.is_file():
        raise ValueError(f"--model must be a folder or a file that is there. Received: {path}")
    model = keras.models.load_model(path)
    if SIZE.value is None:
        raise flags.Error("Give --size, the pixels that the model of a file sees. Received: none")
    return model, augmentation.evaluation(SIZE.value)


def _part(output, count):
    """The file of this part, and its rows."""
    if SHARD.value is None:
        return output, np.arange(count)
    try:
        number, parts = map(int, SHARD.value.split("/"))
    except ValueError:
        number, parts = 0, 0
    if not 1 <= number <= parts <= count:
        raise flags.Error(
            f"--shard must be PART/PARTS, such as 2/8, of at most {count} parts. "
            f"Received: {SHARD.value}"
        )
    name = f"{output.stem}-{number}-of-{parts}{output.suffix}"
    return output.with_name(name), np.array_split(np.arange(count), parts)[number - 1]
