"""Finds the nearest neighbours of images.

    keras-isd neighbors features.parquet --k=10
    keras-isd neighbors features.parquet --query=cat.jpg,dog.jpg
    keras-isd neighbors features.parquet --other_groups="plate*"

The table has a line for each image and neighbour: name, neighbor, similarity (the cosine, at most
1). `--query` names images by the ends of their names; without it the neighbours of all are found.
With `--other_groups`, a folder such as "plate*" or the level of a folder, an image's neighbours are
those in other such folders alone.
"""

import numpy as np

import keras_isd
from keras_isd.command import tables
from keras_isd.command.values import comma_list, group, positive_int


def add_arguments(parser):
    tables.add_feature_arguments(parser)
    tables.add_approximate_argument(parser)
    parser.add_argument("--query", type=comma_list, help="images to find the neighbours of")
    parser.add_argument("--k", type=positive_int, default=10, help="neighbours of each image")
    parser.add_argument("--other_groups", type=group, help="folder whose own images are left out")


def run(arguments):
    found = tables.load_features(arguments)
    output, names = tables.output_path(arguments, "neighbors.csv"), found.names
    k = min(arguments.k, len(names) - 1)
    if arguments.other_groups is not None:
        queries = list(range(len(names)))
        if arguments.query is not None:
            queries = [_find_row(names, end, arguments) for end in arguments.query]
        groups, _ = keras_isd.data.groups.path_groups(names, arguments.other_groups)
        k = min(k, len(names) - int(np.bincount(groups).max()))
        rows, similarities = keras_isd.exploration.find_neighbors(
            found.features, k=k, approximate=arguments.approximate, exclude_groups=groups
        )
        rows, similarities = rows[queries], similarities[queries]
    elif arguments.query is None:
        queries = list(range(len(names)))
        rows, similarities = keras_isd.exploration.find_neighbors(
            found.features, k=k, approximate=arguments.approximate
        )
    else:
        from keras_isd.similarity.neighbors import find_row_neighbors
        from keras_isd.validation.features import check_features

        queries = [_find_row(names, end, arguments) for end in arguments.query]
        check_features(features=found.features)
        rows, similarities = find_row_neighbors(found.features, queries, k)
    tables.write_table(
        output,
        ["name", "neighbor", "similarity"],
        (
            (names[query], names[row], float(similarity))
            for query, neighbors, values in zip(queries, rows, similarities)
            for row, similarity in zip(neighbors, values)
        ),
    )
    shown = [[query, *neighbors] for query, neighbors in zip(queries[:30], rows)]
    captions = [["", *(f"{value:.2f}" for value in values)] for values in similarities[:30]]
    tables.draw_groups(arguments, output, names, shown, [""] * len(shown), captions)


def _find_row(names, end, arguments):
    """The row of the only image whose name ends so."""
    rows = [row for row, name in enumerate(names) if name.endswith(end)]
    if len(rows) != 1:
        arguments.fail(
            f"--query must name one image each. Received: {end}, the end of {len(rows)} names"
        )
    return rows[0]
