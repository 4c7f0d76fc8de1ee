"""Finds groups of near-duplicate images and which image of each to keep.

    keras-isd duplicates features.parquet
    keras-isd duplicates features.parquet --ratio=0.2          # fewer and surer groups
    keras-isd duplicates features.parquet --similarity=0.99    # an absolute threshold

The table has a line for each image of a group: group, name, keep (yes or no), similarity to the one
that is kept. The largest file of a group is kept, or the most typical image if the files are
missing. Two images are near-duplicates if they are much nearer to each other than images of this
set usually are. Check the picture before you delete anything.
"""

import os

from absl import logging

import keras_isd
from keras_isd.command import tables
from keras_isd.command.values import fraction, positive_int


def add_arguments(parser):
    tables.add_feature_arguments(parser)
    tables.add_approximate_argument(parser)
    add = parser.add_argument
    add("--ratio", type=fraction, default=0.3, help="distance relative to the k-th neighbour's")
    add("--k", type=positive_int, default=10, help="about the most copies of one image")
    add("--similarity", type=fraction, help="least cosine of duplicates, instead of the ratio")


def run(arguments):
    found = tables.load_features(arguments)
    output = tables.output_path(arguments, "duplicates.csv")
    groups = keras_isd.exploration.find_duplicates(
        found.features,
        arguments.ratio,
        arguments.k,
        arguments.similarity,
        _file_sizes(found.names),
        arguments.approximate,
    )
    copies = sum(len(rows) - 1 for rows in groups)
    print(f"{len(groups):,} groups, {copies:,} of {len(found.names):,} images may be copies")
    tables.write_table(output, ["group", "name", "keep", "similarity"], _lines(found, groups))
    titles = [f"group {number}" for number in range(len(groups))]
    captions = [["keep", *["copy?"] * (len(rows) - 1)] for rows in groups]
    tables.draw_groups(arguments, output, found.names, groups, titles, captions)


def _lines(found, groups):
    from keras_isd.similarity.exact import unit_rows

    for number, rows in enumerate(groups):
        unit = unit_rows(found.features[rows])
        for row, similarity in zip(rows, unit @ unit[0]):
            keep = "yes" if row == rows[0] else "no"
            yield number, found.names[row], keep, float(similarity)


def _file_sizes(names):
    """The size of each file in bytes, -1 for a missing file; None if all are missing."""
    sizes = [os.path.getsize(name) if os.path.isfile(name) else -1 for name in names]
    if missing := sizes.count(-1):
        logging.warning("%d of %d files are missing and have no size", missing, len(sizes))
    return None if missing == len(sizes) else sizes
