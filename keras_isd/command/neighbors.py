"""Finds the nearest neighbours of images.

    keras-isd neighbors features.parquet --k=10
    keras-isd neighbors features.parquet --query=cat.jpg,dog.jpg

The table has a line for each image and neighbour: name, neighbor, similarity (the cosine, at most
1). `--query` names images by the ends of their names; without it the neighbours of all are found.
"""

import keras_isd
from keras_isd.command import tables
from keras_isd.command.values import comma_list, positive_int


def add_arguments(parser):
    tables.add_feature_arguments(parser)
    tables.add_approximate_argument(parser)
    parser.add_argument("--query", type=comma_list, help="images to find the neighbours of")
    parser.add_argument("--k", type=positive_int, default=10, help="neighbours of each image")


def run(arguments):
    found = tables.load_features(arguments)
    output, names = tables.output_path(arguments, "neighbors.csv"), found.names
    k = min(arguments.k, len(names) - 1)
    if arguments.query is None:
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
