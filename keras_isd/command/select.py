"""Selects the images that are most worth labelling.

    keras-isd select features.parquet --count=100
    keras-isd select features.parquet --count=100 --labelled=selected.csv --output=more.csv

The table has a line for each image, highest priority first: rank, name, and an empty label to fill
in for keras-isd finetune. TypiClust, for few labels, takes the most typical image of each of as
many clusters; k-centre (`--method=k_center`), for many, takes the image that is farthest from all
selected ones. `--labelled` is such a table of images that have a label. It is only read; its lines
stand below the new ones, so that the next keras-isd finetune has all labels in one table.
"""

import os
import pathlib

import keras_isd
from keras_isd.command import tables
from keras_isd.command.values import natural_int, path, positive_int

METHODS = ("typiclust", "k_center")


def add_arguments(parser):
    tables.add_feature_arguments(parser)
    add = parser.add_argument
    add("--count", type=positive_int, required=True, help="number of images")
    add("--method", choices=METHODS, default="typiclust", help="selection method")
    add("--labelled", type=path, help="table of images that have a label")
    add("--seed", type=natural_int, default=0, help="random seed of the clusters")


def run(arguments):
    found = tables.load_features(arguments)
    output = tables.output_path(arguments, "selected.csv")
    known = _labels_by_row(arguments, found.names)
    rows = keras_isd.exploration.select_rows(
        found.features, arguments.count, arguments.method, [*known], arguments.seed
    )
    lines: list = [(rank, found.names[row], "") for rank, row in enumerate(rows, start=1)]
    lines += [("", found.names[row], label) for row, label in known.items()]
    tables.write_table(output, ["rank", "name", "label"], lines)
    groups = [rows[start : start + 10] for start in range(0, len(rows), 10)]
    titles = [f"from rank {10 * number + 1}" for number in range(len(groups))]
    tables.draw_groups(arguments, output, found.names, groups, titles)


def _labels_by_row(arguments, names):
    """The labels of the images that have one, by row; empty ones if the table has no labels."""
    if arguments.labelled is None:
        return {}
    lines = tables.read_table(arguments.labelled)
    folder = pathlib.Path(arguments.labelled).absolute().parent
    row_of = {name: row for row, name in enumerate(names)}
    found, unknown = {}, []
    for line in lines:
        name = line.get("path") or line.get("name") or ""
        # Names are relative to the table, unless they are those of the features.
        row = row_of.get(name, row_of.get(os.path.normpath(folder / name)))
        if row is None:
            unknown.append(name)
        elif line.get("label", "yes"):  # a table without this column lists labelled images alone
            found[row] = line.get("label", "")
    if unknown:
        raise ValueError(
            "--labelled must be a table with a column `name` or `path` of images that have "
            f"features. Received: {len(unknown)} other names, such as {unknown[0]!r}"
        )
    return found
