"""Finds the images most alike, of all or of some files.

    keras-isd neighbors features.parquet --k=10
    keras-isd neighbors features.parquet --of=cat.jpg,dog.jpg

The table has a line for each image and neighbour: name, neighbor, similarity (the cosine, at most
1). `--of` names images by the ends of their names.
"""

from absl import flags

from keras_isd import exploration
from keras_isd.command import features, search
from keras_isd.command.features import draw, features_of, output_of
from keras_isd.command.search import APPROXIMATE
from keras_isd.command.tables import write_table
from keras_isd.similarity.neighbors import neighbors_of_rows
from keras_isd.validation.features import check_features

flags.adopt_module_key_flags(features)
flags.adopt_module_key_flags(search)
OF = flags.DEFINE_list("of", None, "Images to find neighbours of; all if not given.")
K = flags.DEFINE_integer("k", 10, "How many of each.", 1)


def main(arguments):
    found = features_of(arguments)
    path = output_of("neighbors.csv")
    names = found.names
    k = min(K.value, len(names) - 1)
    if OF.value is None:
        asked = list(range(len(names)))
        rows, similarities = exploration.find_neighbors(
            found.features, k=k, approximate=APPROXIMATE.value
        )
    else:
        asked = [_row(names, end) for end in OF.value]
        check_features(features=found.features)
        rows, similarities = neighbors_of_rows(found.features, asked, k)
    write_table(
        path,
        ["name", "neighbor", "similarity"],
        (
            (names[row], names[other], float(similarity))
            for row, others, alike in zip(asked, rows, similarities)
            for other, similarity in zip(others, alike)
        ),
    )
    shown = [[row, *others] for row, others in zip(asked[:30], rows)]
    captions = [["", *(f"{s:.2f}" for s in alike)] for alike in similarities[:30]]
    draw(path, names, shown, [""] * len(shown), captions)


def _row(names, end):
    found = [row for row, name in enumerate(names) if name.endswith(end)]
    if len(found) != 1:
        raise flags.Error(f"--of must name one image each. Received: {end}, of {len(found)} images")
    return found[0]
