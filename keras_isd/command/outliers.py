"""Finds outlier images.

    keras-isd outliers features.parquet
    keras-isd outliers features.parquet --k=20

The table has a line for each image, the strongest outlier first: name, score. The score is the
local outlier factor: about 1 for an image that is as near to its k nearest neighbours as these are
to theirs. A group of outliers is found if k is larger than the group.
"""

import numpy as np

import keras_isd
from keras_isd.command import tables
from keras_isd.command.values import positive_int


def add_arguments(parser):
    tables.add_feature_arguments(parser)
    tables.add_approximate_argument(parser)
    parser.add_argument(
        "--k",
        type=positive_int,
        help="neighbours compared; a fiftieth of the images, 10 to 100, if not given",
    )


def run(arguments):
    found = tables.load_features(arguments)
    output = tables.output_path(arguments, "outliers.csv")
    scores = keras_isd.exploration.outlier_scores(
        found.features, arguments.k, arguments.approximate
    )
    order = np.argsort(-scores, kind="stable")
    lines = ((found.names[row], float(scores[row])) for row in order)
    tables.write_table(output, ["name", "score"], lines)
    groups = [order[start : start + 10] for start in range(0, min(len(order), 100), 10)]
    titles = [f"from rank {10 * number + 1}" for number in range(len(groups))]
    captions = [[f"{scores[row]:.2f}" for row in group] for group in groups]
    tables.draw_groups(arguments, output, found.names, groups, titles, captions)
