"""Finds images of another kind than the rest.

    keras-isd outliers features.parquet
    keras-isd outliers features.parquet --k=20

The table has a line for each image, the strangest first: name, score, its local outlier factor,
which is about 1 where an image is as near to its k nearest as these are to theirs. A group of
strange images shows where k is larger than the group.
"""

import numpy as np
from absl import flags

from keras_isd import exploration
from keras_isd.command import features, search
from keras_isd.command.features import draw, features_of, output_of
from keras_isd.command.search import APPROXIMATE
from keras_isd.command.tables import write_table

flags.adopt_module_key_flags(features)
flags.adopt_module_key_flags(search)
K = flags.DEFINE_integer(
    "k", None, "Neighbours that are looked at: a fiftieth of the images, 10 to 100.", 1
)


def main(arguments):
    found = features_of(arguments)
    path = output_of("outliers.csv")
    scores = exploration.outlier_scores(found.features, K.value, APPROXIMATE.value)
    order = np.argsort(-scores, kind="stable")
    write_table(path, ["name", "score"], ((found.names[row], float(scores[row])) for row in order))
    groups = [order[start : start + 10] for start in range(0, min(len(order), 100), 10)]
    captions = [[f"{scores[row]:.2f}" for row in group] for group in groups]
    draw(path, found.names, groups, [f"rank {10 * n + 1} on" for n in range(len(groups))], captions)
