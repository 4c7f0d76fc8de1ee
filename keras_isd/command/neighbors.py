"""Finds the nearest neighbours of images.

    keras-isd neighbors features.parquet --k=10
    keras-isd neighbors features.parquet --query=cat.jpg,dog.jpg
    keras-isd neighbors features.parquet --other_groups="plate*"
    keras-isd neighbors new.parquet --in=features.parquet
    keras-isd neighbors features.parquet --image=new.jpg --model=RUN
    keras-isd neighbors features.parquet --image=new.jpg --model=RUN --index=features.faiss

The table has a line for each image and neighbour: name, neighbor, similarity (the cosine, at most
1). `--query` names images by the ends of their names; without it the neighbours of all are found.
With `--other_groups`, a folder such as "plate*" or the level of a folder, an image's neighbours are
those in other such folders alone. With `--in` they are among the images of another table by the
same model; a warning is printed if the new images lie apart from them. `--image` names files that
are not in the table; the model that wrote the table computes their features. `--index` names a file
that keeps the index of an approximate search, for further searches in the same table.
"""

import numpy as np
from absl import logging

import keras_isd
from keras_isd.command import tables
from keras_isd.command.images import add_model_arguments, load_model
from keras_isd.command.values import comma_list, group, path, positive_int


def add_arguments(parser):
    tables.add_feature_arguments(parser)
    tables.add_approximate_argument(parser)
    add = parser.add_argument
    add("--query", type=comma_list, help="images to find the neighbours of")
    add("--k", type=positive_int, default=10, help="neighbours of each image")
    add("--other_groups", type=group, help="folder whose own images are left out")
    add("--in", dest="among", type=path, help="table of the images to find neighbours among")
    add("--image", type=comma_list, help="files to find the neighbours of, with --model")
    add("--index", type=path, help="file of the index of --approximate, read or written")
    add_model_arguments(parser, required=False)


def run(arguments):
    if arguments.index and arguments.other_groups is not None:
        arguments.fail(
            "--index must not be given with --other_groups. "
            f"Received: --index={arguments.index}, --other_groups={arguments.other_groups}"
        )
    arguments.approximate = arguments.approximate or bool(arguments.index)
    if arguments.among and arguments.other_groups is not None:
        arguments.fail(
            "--in must not be given with --other_groups. "
            f"Received: --in={arguments.among}, --other_groups={arguments.other_groups}"
        )
    others = (arguments.among, arguments.query, arguments.other_groups)
    if arguments.image and (any(x is not None for x in others) or not arguments.model):
        arguments.fail(
            "--image needs --model, and must not be given with --in, --query or --other_groups. "
            f"Received: --image={','.join(arguments.image)}, --model={arguments.model}"
        )
    found = tables.load_features(arguments)
    output = tables.output_path(arguments, "neighbors.csv")
    bank = found if arguments.image else None
    if arguments.image:
        found = _embed(arguments, bank)
    queries = list(range(len(found.names)))
    if arguments.query is not None:
        queries = [_find_row(found.names, end, arguments) for end in arguments.query]
    if arguments.among:
        bank = _load_bank(arguments, found)
    if bank is not None:
        k = min(arguments.k, len(bank.names))
        rows, similarities = keras_isd.exploration.find_neighbors(
            bank.features, found.features[queries], k, arguments.approximate, index=arguments.index
        )
        names = bank.names + [found.names[query] for query in queries]
        query_rows = list(range(len(bank.names), len(names)))
    else:
        rows, similarities = _find(arguments, found, queries)
        names, query_rows = found.names, queries
    tables.write_table(
        output,
        ["name", "neighbor", "similarity"],
        (
            (names[query], names[row], similarity)
            for query, neighbors, values in zip(query_rows, rows, _in_words(similarities, 4))
            for row, similarity in zip(neighbors, values)
        ),
    )
    shown = [[query, *neighbors] for query, neighbors in zip(query_rows[:30], rows)]
    captions = [["", *values] for values in _in_words(similarities[:30], 2)]
    tables.draw_groups(arguments, output, names, shown, [""] * len(shown), captions)


def _find(arguments, found, queries):
    """The neighbours of the queries among the other images, and their similarities."""
    features, count = found.features, len(found.names)
    k = min(arguments.k, count - 1)
    if arguments.other_groups is not None:
        groups, _ = keras_isd.data.groups.path_groups(found.names, arguments.other_groups)
        k = min(k, count - int(np.bincount(groups).max()))
        rows, similarities = keras_isd.exploration.find_neighbors(
            features, None, k, arguments.approximate, groups
        )
        return rows[queries], similarities[queries]
    if arguments.query is None:
        return keras_isd.exploration.find_neighbors(
            features, None, k, arguments.approximate, index=arguments.index
        )
    from keras_isd.similarity.neighbors import choose_search, find_row_neighbors
    from keras_isd.validation.features import check_features

    check_features(features=features)
    search = choose_search(arguments.approximate, arguments.index)
    return find_row_neighbors(features, queries, k, search)


def _embed(arguments, bank):
    """The features of the files of `--image`, by the model that wrote the table."""
    evaluation, fingerprint = keras_isd.evaluation, keras_isd.data.fingerprint
    model, view = load_model(arguments)
    source = keras_isd.data.from_paths(arguments.image, channels=view.channels, on_error="raise")
    batches = keras_isd.data.ViewBatches(source, None, view, len(source))
    features, _, indices = evaluation.extract_features(model, batches, verbose=0)
    facts = {"model": fingerprint.model_fingerprint(model, view)}
    names = [*map(fingerprint.absolute_name, source.names)]
    found = evaluation.Features(features, None, indices, names, facts=facts)
    evaluation.feature_table.check_same_features(
        [arguments.model, *arguments.features], [found, bank]
    )
    return found


def _load_bank(arguments, found):
    """The features to find neighbours among; warns if the new images lie apart from them."""
    evaluation = keras_isd.evaluation
    bank = evaluation.load_features(arguments.among)
    files = [arguments.features[0], arguments.among]
    evaluation.feature_table.check_same_features(files, [found, bank])
    if bank.names is None:
        bank.names = [f"row {index}" for index in bank.indices]
    if len(bank.names) >= 1 / evaluation.drift.EXPECTED:
        drift = evaluation.measure_drift(found.features, bank.features)
        low, high = drift["interval"]
        line = (
            f"{drift['share']:.1%} [{low:.1%}, {high:.1%}] of the new images are far from all of "
            f"{arguments.among}; {evaluation.drift.EXPECTED:.0%} are expected"
        )
        print(line)
        if drift["has_drifted"]:
            logging.warning(
                "The new images lie apart: inspect some before you trust their neighbours. Common "
                "causes are another device, other kinds of images, or a batch effect, for which "
                "`keras-isd embed --correct` is a remedy."
            )
    return bank


def _in_words(similarities, digits):
    """Similarities as str, with up to 6 digits, as many as distinguish neighbours."""
    steps = np.abs(np.diff(similarities, axis=1))
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
    digits = int(np.clip(np.ceil(-np.log10(step)), digits, 6))
    return [[f"{value:.{digits}f}" for value in values] for values in similarities]


def _find_row(names, end, arguments):
    """The row of the only image whose name ends so, with whole names of folders if possible."""
    paths = [row for row, name in enumerate(names) if f"/{name}".endswith(f"/{end}")]
    rows = paths or [row for row, name in enumerate(names) if name.endswith(end)]
    if len(rows) != 1:
        arguments.fail(
            f"--query must name one image each. Received: {end}, the end of {len(rows)} names"
        )
    return rows[0]
