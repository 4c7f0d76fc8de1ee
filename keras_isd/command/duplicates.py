"""Finds groups of images that are nearly the same, and says which of each to keep.

    keras-isd duplicates features.parquet
    keras-isd duplicates features.parquet --similarity=0.99

The table has a line for each image of a group: group, name, keep (yes or no), similarity to the one
that is kept. Of files that are there the largest in bytes is kept, else the one most like the
others. Look at the picture before anything is deleted: what is nearly the same is told by the
network, and differs from one to another.
"""

import pathlib

import numpy as np
from absl import flags

from keras_isd import exploration
from keras_isd.command.features import draw, features_of, output_of, write_table
from keras_isd.evaluation.nearest import unit_rows

SIMILARITY = flags.DEFINE_float("similarity", 0.97, "Least cosine of two that are the same.", 0, 1)


def main(arguments):
    found = features_of(arguments)
    groups = exploration.find_duplicates(found.features, SIMILARITY.value, _bytes(found.names))
    copies = sum(len(rows) - 1 for rows in groups)
    print(f"{len(groups):,} groups, {copies:,} of {len(found.names):,} images are copies")
    path = output_of("duplicates.csv")
    write_table(path, ["group", "name", "keep", "similarity"], _lines(found, groups))
    draw(path, found.names, groups)


def _lines(found, groups):
    mean = np.mean(found.features, axis=0)  # which `find_duplicates` takes off too
    for number, rows in enumerate(groups):
        unit = unit_rows(found.features[rows] - mean)
        for row, similarity in zip(rows, unit @ unit[0]):
            keep = "yes" if row == rows[0] else "no"
            yield number, found.names[row], keep, float(similarity)


def _bytes(names):
    """The size of each file, or None where one is not there."""
    try:
        return [pathlib.Path(name).stat().st_size for name in names]
    except OSError:
        return None
