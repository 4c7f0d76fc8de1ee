"""Writes the features of images to a table: .parquet, .csv or .npz.

    keras-isd embed IMAGES --model=RUN --output=features.parquet
    keras-isd embed IMAGES --model=RUN --output=features.parquet --shard=2/8
    keras-isd embed IMAGES --model=RUN --output=features.parquet --update
    keras-isd embed IMAGES --model=model.keras --size=224 --output=features.csv
    keras-isd embed IMAGES --model=RUN --group="plate*" --correct --controls="*/DMSO/*"
    keras-isd embed IMAGES --model=RUN --output=cells.parquet --grid=4

The model is the folder of a run of keras-isd train, or a .keras file of any network from images to
features. The table has the files' names, the names of classes, and a fingerprint of the model:
tables of different models are not mixed. It is written in pieces, in bounded memory; run the same
command again to resume. `--shard=2/8` computes the second of eight parts, for as many machines; its
file is `features-2-of-8.parquet`, and other subcommands read "features-*-of-8.parquet".

`--update` computes the features of new and changed images alone: those that are not in the table,
and files that were changed since it was begun. Rows of images that are gone are left out.

`--correct` removes what differs between groups, such as plates: each group's mean is taken off,
and the features are whitened. It assumes that groups have the same mixture of kinds of images, or
that those of `--controls`, a pattern of names, should be alike in all groups. The table records the
correction. Embed all images together, because tables of different corrections are not mixed.

`--grid=4` writes a row for each of 4 x 4 cells of an image, named by its place: IMAGE[x,y,w,h].
"""

import fnmatch
import glob
import os
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

GRID_CONFLICTS = (("grid", "update"), ("grid", "correct"))
MAX_MEASURED = 5000  # images whose neighbours are compared before and after a correction


def add_arguments(parser):
    add_image_arguments(parser)
    add_model_arguments(parser)
    add = parser.add_argument
    add("--output", type=path, default="features.parquet", help="table to write")
    add("--batch_size", type=positive_int, default=64, help="images at a time")
    add("--update", action="store_true", help="compute only rows that the table lacks")
    add("--shard", metavar="PART/PARTS", help="part to compute, such as 2/8")
    add("--correct", action="store_true", help="remove what differs between groups")
    add("--controls", help='names of images that should be alike in all groups, "*/DMSO/*"')
    add("--grid", type=positive_int, help="cells along each side of an image, each a row")


def run(arguments):
    evaluation, fingerprint = keras_isd.evaluation, keras_isd.data.fingerprint
    evaluation.feature_table.check_table(arguments.output)  # before anything is computed
    _check_options(arguments)
    source = read_images(arguments.images, arguments)
    controls = _find_controls(arguments, source)
    model, view = load_model(arguments)
    facts = {"model": fingerprint.model_fingerprint(model, view)}
    if arguments.grid:
        model, facts["grid"] = evaluation.grid_model(model, arguments.grid), str(arguments.grid)
    output, rows = _shard(arguments, len(source))
    output.parent.mkdir(parents=True, exist_ok=True)
    with keras_isd.files.lock(output):
        _write(arguments, output, rows, source, controls, model, view, facts)


def _write(arguments, output, rows, source, controls, model, view, facts):
    evaluation, fingerprint = keras_isd.evaluation, keras_isd.data.fingerprint
    began = _begin(output)
    part = source.subset(rows)
    names = None if part.names is None else [*map(fingerprint.absolute_name, part.names)]
    if arguments.update and names is None:
        arguments.fail(f"--update needs images with names. Received: {arguments.images}")
    features, read = _compute(arguments, output, model, view, part, names, facts)
    if arguments.correct:
        features, facts["correction"] = _correct(arguments, source, features, read, controls)
    found = evaluation.Features(
        features,
        part.labels,
        rows,
        names,
        class_names=part.class_names,
        facts=facts,
        root=_root(arguments, source),
    )
    if arguments.grid:
        found, read = _split_cells(found, read, part, view, arguments.grid)
    evaluation.save_features(output, found, np.flatnonzero(read))
    # A file that changes from now on, or has changed since it was read, is newer than its table.
    os.utime(output, ns=(began.stat().st_mtime_ns,) * 2)
    for file in output.parent.glob(f".{glob.escape(output.name)}.npy*"):
        file.unlink()
    began.unlink()
    missing = "" if read.all() else f"; {np.count_nonzero(~read):,} could not be read"
    count = np.count_nonzero(read)
    kind = "cells" if arguments.grid else "images"
    print(f"{count:,} {kind}, {found.features.shape[1]} features each, in {output}{missing}")


def _split_cells(found, read, part, view, cells):
    """The features with a row for each cell of a grid, and which of the rows were read."""
    count = cells**2
    names = keras_isd.evaluation.grid_names(part, view, cells)
    split = keras_isd.evaluation.Features(
        found.features.reshape(len(found.features) * count, -1),
        None if found.labels is None else np.repeat(found.labels, count),
        np.repeat(found.indices, count),
        [*map(keras_isd.data.fingerprint.absolute_name, names)],
        class_names=found.class_names,
        facts=found.facts,
        root=found.root,
    )
    return split, np.repeat(read, count)


def _begin(output):
    """The file whose time is when a table was begun, also if that was interrupted."""
    file = output.with_name(f".{output.name}.begun")
    if not file.exists():
        file.touch()
    return file


def _compute(arguments, output, model, view, part, names, facts):
    """The features of a part's images, and which of them were read.

    With `--update` only the features of images that the table lacks are computed.
    """
    evaluation = keras_isd.evaluation
    if not (arguments.update and output.is_file()):
        return _compute_all(arguments, output, model, view, part)
    old = evaluation.load_features(output)
    wanted = evaluation.Features(old.features, None, old.indices, facts=facts)
    evaluation.feature_table.check_same_features([output, arguments.model], [old, wanted])
    row_of = dict(zip(old.names or [], range(len(old.features))))
    written = output.stat().st_mtime_ns
    is_changed = keras_isd.data.fingerprint.is_changed_since
    kept = [-1 if is_changed(name, written) else row_of.get(name, -1) for name in names]
    rows = np.array(kept)
    new = np.flatnonzero(rows < 0)
    print(
        f"{len(new):,} images are new or changed, {len(names) - len(new):,} are in the table, and "
        f"{len(set(row_of) - set(names)):,} of its images are gone"
    )
    features = np.zeros((len(names), old.features.shape[1]), "float32")
    features[rows >= 0] = old.features[rows[rows >= 0]]
    read = np.ones(len(names), bool)
    if len(new):
        features[new], read[new] = _compute_all(arguments, output, model, view, part.subset(new))
    return features, read


def _compute_all(arguments, output, model, view, source):
    """The features of a source's images, and which of them were read.

    An interrupted command resumes with the same images, and starts again with others.
    """
    evaluation = keras_isd.evaluation
    unfinished = output.with_name(f".{output.name}.npy")
    features = evaluation.cache_features(
        model, source, view, unfinished, arguments.batch_size, replace=True
    )
    read = np.ones(len(source), bool)
    read[evaluation.feature_file.unreadable_rows(unfinished)] = False
    return features, read


def _check_options(arguments):
    for first, second in (("update", "correct"), ("update", "shard"), *GRID_CONFLICTS):
        if getattr(arguments, first) and getattr(arguments, second):
            arguments.fail(
                f"--{first} must not be given with --{second}. Received: --{first} and --{second}"
            )


def _root(arguments, source):
    """The folder that the names of all shards are relative to: of IMAGES, or of all files."""
    if pathlib.Path(arguments.images).is_dir():
        return os.path.abspath(arguments.images)
    names = [*map(keras_isd.data.fingerprint.absolute_name, source.names or [])]
    if any("://" in name for name in names):
        return None
    try:
        return os.path.commonpath([*map(os.path.dirname, names)])
    except ValueError:  # no names, or files on several drives
        return None


def _find_controls(arguments, source):
    """Whether each image is a control, for `--correct`."""
    if arguments.controls is not None and not arguments.correct:
        arguments.fail(f"--controls needs --correct. Received: --controls={arguments.controls}")
    if not arguments.correct:
        return None
    if arguments.shard is not None:
        arguments.fail(
            "--correct must not be given with --shard, because it needs all images. "
            f"Received: --shard={arguments.shard}"
        )
    if source.groups is None:
        arguments.fail("--correct needs groups: give --group. Received: images without groups")
    if arguments.controls is None:
        return np.ones(len(source), bool)
    names = source.names or []
    found = [fnmatch.fnmatch(name, arguments.controls) for name in names]
    without = set(source.groups.tolist()) - {
        group for group, is_control in zip(source.groups.tolist(), found) if is_control
    }
    if without or not found:
        missing = sorted(source.group_names[group] for group in without)
        raise ValueError(
            "--controls must match images of each group. "
            f"Received: --controls={arguments.controls}, none in {', '.join(missing[:5])}"
        )
    return np.array(found)


def _correct(arguments, source, features, read, controls):
    """The corrected features, zeros where images could not be read, and the correction in words."""
    evaluation, groups = keras_isd.evaluation, source.groups
    corrected = np.zeros(features.shape, "float32")
    corrected[read] = evaluation.spherize(features[read], groups[read], controls[read])
    rows = np.flatnonzero(read)
    rows = rows[np.linspace(0, len(rows) - 1, min(MAX_MEASURED, len(rows))).astype(int)]
    before, after = (
        evaluation.group_effect(found[rows], groups[rows]) for found in (features, corrected)
    )
    print(
        f"Neighbours of an image's own group: {before['same']:.1%} before the correction, "
        f"{after['same']:.1%} after it, {before['chance']:.1%} by chance"
    )
    digest = keras_isd.data.fingerprint.features_fingerprint(corrected)
    return corrected, (
        f"spherize, {len(set(groups.tolist()))} groups, controls {arguments.controls or 'all'}, "
        f"{digest:08x}"
    )


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
