"""Finds images that leak: copies on both sides of a split, or in several groups.

    keras-isd leaks TRAIN --test=TEST
    keras-isd leaks IMAGES --group="patient*"
    keras-isd leaks TRAIN --test=TEST --features=train.parquet,test.parquet

Accuracies on test images with a copy among the training images are too high. The sides are TRAIN
and TEST, or the groups. Copies are verified on the pixels, as by keras-isd duplicates; without
--features candidates are found by perceptual hashes alone, which miss strong crops. The table has a
line for each image of a group of copies on several sides: group, name, side, and confidence and
difference of its surest copy. Its exit status is 0 whether or not there are leaks.
"""

import numpy as np

import keras_isd
from keras_isd.command import tables
from keras_isd.command.images import add_image_arguments, read_images
from keras_isd.command.values import comma_list, path

COLUMNS = ["group", "name", "side", "confidence", "difference"]


def add_arguments(parser):
    add_image_arguments(parser)
    add = parser.add_argument
    add("--test", type=path, metavar="IMAGES", help="images of the other side")
    add("--features", type=comma_list, help="tables of the images' features, for more candidates")
    tables.add_output_arguments(parser)


def run(arguments):
    names, sides, channels = _read_sides(arguments)
    output = tables.output_path(arguments, "leaks.csv")
    copies = keras_isd.exploration.find_copies(
        keras_isd.data.from_paths(names, channels=channels), _read_features(arguments, names)
    )
    groups = [
        group
        for group in _connected(copies.pairs, len(names))
        if len({sides[row] for row in group}) > 1
    ]
    count = sum(map(len, groups))
    print(
        f"{len(groups):,} groups of copies on several sides, {count:,} of {len(names):,} images; "
        f"{copies.candidates:,} pairs were compared"
    )
    for side in sorted(set(sides)):
        own = sum(sides[row] == side for group in groups for row in group)
        print(f"  {side}: {own:,} of {sides.count(side):,} images have a copy on another side")
    if copies.unreadable:
        print(f"{len(copies.unreadable):,} files cannot be read: they were not compared.")
    if copies.warning:
        print(f"{copies.warning}: inspect the groups.")
    nearest: dict = {}  # the surest verified copy of each image
    for row, other, about in sorted(copies.pairs, key=lambda pair: pair[2].confidence):
        nearest |= {row: about, other: about}
    lines = [
        (number, names[row], sides[row], nearest[row].confidence, nearest[row].difference)
        for number, group in enumerate(groups)
        for row in group
    ]
    tables.write_table(output, COLUMNS, lines)
    captions = [[sides[row] for row in group] for group in groups]
    titles = [f"group {number}" for number in range(len(groups))]
    tables.draw_groups(arguments, output, names, groups, titles, captions)


def _connected(pairs, count):
    """Groups of rows that are connected by pairs, as lists; a copy of a copy is in the group."""
    rows, others = ([pair[side] for pair in pairs] for side in (0, 1))
    groups = keras_isd.exploration.duplicates.connected_groups(rows, others, count)
    return [group.tolist() for group in groups]


def _read_sides(arguments):
    """The files' names, the side of each, and their channels."""
    source = read_images(arguments.images, arguments)
    if arguments.test:
        test = read_images(arguments.test, arguments)
        parts = [("train", source), ("test", test)]
    elif source.groups is not None:
        parts = [
            (name, source.subset(np.flatnonzero(source.groups == number)))
            for number, name in enumerate(source.group_names)
            if (source.groups == number).any()
        ]
    else:
        arguments.fail("Give --test or --group, the other side of a split. Received: neither")
    if any(part.names is None for _, part in parts):
        raise ValueError(
            "Images must be files, so that copies have names. Received: arrays or a data set"
        )
    names = [name for _, part in parts for name in part.names]
    sides = [side for side, part in parts for _ in range(len(part))]
    return names, sides, source.channels


def _read_features(arguments, names):
    """The features of the files, in their order; None without tables."""
    if not arguments.features:
        return None
    absolute = keras_isd.data.fingerprint.absolute_name
    found = keras_isd.evaluation.load_features(arguments.features)
    rows = {absolute(name): row for row, name in enumerate(found.names or [])}
    if missing := [name for name in names if absolute(name) not in rows]:
        raise ValueError(
            "--features must have a row for each image. "
            f"Received: {len(missing)} images without one, such as {missing[0]}"
        )
    return found.features[[rows[absolute(name)] for name in names]]
