"""Writes the features of images to a table: .parquet, .csv or .npz.

    keras-isd embed IMAGES --model=RUN --output=features.parquet
    keras-isd embed IMAGES --model=RUN --output=features.parquet --shard=2/8
    keras-isd embed IMAGES --model=model.keras --size=224 --output=features.csv

The model is the folder of a run of keras-isd train, or a .keras file of any network from images to
features. The table has the files' names. It is written in pieces, in bounded memory; run the same
command again to resume. `--shard=2/8` computes the second of eight parts, for as many machines; its
file is `features-2-of-8.parquet`, and other subcommands read "features-*-of-8.parquet".
"""

import pathlib

import numpy as np

import keras_isd
from keras_isd.command.images import (
    add_image_arguments,
    add_model_arguments,
    load_model,
    read_images,
)
from keras_isd.command.values import path, positive_int


def add_arguments(parser):
    add_image_arguments(parser)
    add_model_arguments(parser)
    add = parser.add_argument
    add("--output", type=path, default="features.parquet", help="table to write")
    add("--batch_size", type=positive_int, default=64, help="images at a time")
    add("--shard", metavar="PART/PARTS", help="part to compute, such as 2/8")


def run(arguments):
    evaluation, fingerprint = keras_isd.evaluation, keras_isd.data.fingerprint
    evaluation.feature_table.check_table(arguments.output)  # before anything is computed
    source = read_images(arguments.images, arguments)
    model, view = load_model(arguments)
    output, rows = _shard(arguments, len(source))
    unfinished = output.with_name(f".{output.name}.npy")
    part = source.subset(rows)
    features = evaluation.cache_features(model, part, view, unfinished, arguments.batch_size)
    # The row of an image that could not be read is all zeros.
    read = np.concatenate([features[i : i + 4096].any(axis=1) for i in range(0, len(rows), 4096)])
    names = None if part.names is None else [*map(fingerprint.absolute_name, part.names)]
    found = evaluation.Features(features, part.labels, rows, names)
    evaluation.save_features(output, found, np.flatnonzero(read))
    unfinished.unlink()
    missing = "" if read.all() else f"; {np.count_nonzero(~read):,} could not be read"
    count = np.count_nonzero(read)
    print(f"{count:,} images, {features.shape[1]} features each, in {output}{missing}")


def _shard(arguments, count):
    """The file of this shard, and its rows."""
    output = pathlib.Path(arguments.output)
    if arguments.shard is None:
        return output, np.arange(count)
    try:
        number, shards = map(int, arguments.shard.split("/"))
    except ValueError:
        number, shards = 0, 0
    if not 1 <= number <= shards <= count:
        arguments.fail(
            f"--shard must be PART/PARTS, such as 2/8, with at most {count} parts. "
            f"Received: {arguments.shard}"
        )
    name = f"{output.stem}-{number}-of-{shards}{output.suffix}"
    return output.with_name(name), np.array_split(np.arange(count), shards)[number - 1]
