"""Chooses the images that are most worth a label.

    keras-isd select features.parquet --count=100
    keras-isd select features.parquet --count=100 --labelled=selected.csv --output=more.csv

The table has a line for each image, the most wanted first: rank, name, and label, which is to be
filled in, for keras-isd finetune. TypiClust, for few labels, takes the most typical image of each
of as many clusters; k-centre (`--method=k_center`), for many, what is farthest from all that is
chosen. `--labelled` is such a table, of what has a label already; it is not written to.
"""

from absl import flags

from keras_isd import exploration
from keras_isd.command import features
from keras_isd.command.features import draw, features_of, output_of
from keras_isd.command.tables import read_table, write_table
from keras_isd.exploration.selection import METHODS

flags.adopt_module_key_flags(features)
COUNT = flags.DEFINE_integer("count", None, "How many.", 1, required=True)
METHOD = flags.DEFINE_enum("method", "typiclust", METHODS, "How to choose.")
LABELLED = flags.DEFINE_string("labelled", None, "Table of images that have a label.")
SEED = flags.DEFINE_integer("seed", 0, "Of the clusters.", 0)


def main(arguments):
    found = features_of(arguments)
    path = output_of("selected.csv")
    rows = exploration.select_rows(
        found.features, COUNT.value, METHOD.value, _labelled(found.names), SEED.value
    )
    names = [found.names[row] for row in rows]
    table = [(rank, name, "") for rank, name in enumerate(names, start=1)]
    write_table(path, ["rank", "name", "label"], table)
    groups = [rows[start : start + 10] for start in range(0, len(rows), 10)]
    draw(path, found.names, groups, [f"rank {10 * n + 1} on" for n in range(len(groups))])


def _labelled(names):
    if LABELLED.value is None:
        return ()
    lines = read_table(LABELLED.value)
    there = [line.get("name") for line in lines if line.get("label", "a column of labels")]
    row_of = {name: row for row, name in enumerate(names)}
    if unknown := [name for name in there if name not in row_of]:
        raise ValueError(
            "--labelled must be a table with a column `name` of images that have features. "
            f"Received: {len(unknown)} others, such as {unknown[0]!r}"
        )
    return [row_of[name] for name in there]
