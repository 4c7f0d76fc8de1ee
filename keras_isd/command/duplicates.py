"""Finds groups of images that are nearly the same, and says which of each to keep.

    keras-isd duplicates features.parquet
    keras-isd duplicates features.parquet --ratio=0.2          # fewer, and surer ones
    keras-isd duplicates features.parquet --similarity=0.99    # whatever is usual here

The table has a line for each image of a group: group, name, keep (yes or no), similarity to the one
that is kept. Of files that are there the largest in bytes is kept, else the one most like the
others. Two are nearly the same that are much nearer to each other than images here usually are.
Look at the picture before anything is deleted.
"""

import os

from absl import flags, logging

from keras_isd import exploration
from keras_isd.command import features, search
from keras_isd.command.features import draw, features_of, output_of
from keras_isd.command.search import APPROXIMATE
from keras_isd.command.tables import write_table
from keras_isd.similarity.exact import unit_rows

flags.adopt_module_key_flags(features)
flags.adopt_module_key_flags(search)
RATIO = flags.DEFINE_float("ratio", 0.3, "How much nearer than the k-th nearest two are.", 0, 1)
K = flags.DEFINE_integer("k", 10, "How many copies of one image there may be, about.", 1)
SIMILARITY = flags.DEFINE_float("similarity", None, "Least cosine of two, instead.", 0, 1)


def main(arguments):
    found = features_of(arguments)
    path = output_of("duplicates.csv")
    groups = exploration.find_duplicates(
        found.features,
        RATIO.value,
        K.value,
        SIMILARITY.value,
        _bytes(found.names),
        APPROXIMATE.value,
    )
    copies = sum(len(rows) - 1 for rows in groups)
    print(f"{len(groups):,} groups, {copies:,} of {len(found.names):,} images may be copies")
    write_table(path, ["group", "name", "keep", "similarity"], _lines(found, groups))
    titles = [f"group {number}" for number in range(len(groups))]
    captions = [["keep", *["copy?"] * (len(rows) - 1)] for rows in groups]
    draw(path, found.names, groups, titles, captions)


def _lines(found, groups):
    for number, rows in enumerate(groups):
        unit = unit_rows(found.features[rows])
        for row, similarity in zip(rows, unit @ unit[0]):
            keep = "yes" if row == rows[0] else "no"
            yield number, found.names[row], keep, float(similarity)


def _bytes(names):
    """The size of each file; -1 of what is not there, which is said."""
    sizes = [os.path.getsize(name) if os.path.isfile(name) else -1 for name in names]
    if missing := sizes.count(-1):
        logging.warning("%d of %d files are not there, to be compared in size", missing, len(sizes))
    return None if missing == len(sizes) else sizes
