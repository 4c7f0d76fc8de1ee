"""Finds outlier images: unusual as a whole, or in a small place.

    keras-isd outliers features.parquet
    keras-isd outliers features.parquet --k=20
    keras-isd outliers IMAGES --kind=local
    keras-isd outliers features.parquet --kind=local --output=defects.csv

The table has a line for each image, the strongest outlier first: name, score.

`--kind=image` reads a table of features. The score is the local outlier factor: about 1 for an
image that is as near to its k nearest neighbours as these are to theirs. A group of outliers is
found if k is larger than the group.

`--kind=local` reads the images, a folder or those that a table names, at up to 512 pixels. It finds
small defects of similar images, which features of a whole image do not show. The score is that of
the patch that is least like those of other images, with its place x, y in pixels; the picture
has a heat map. The table has the score and rank by pixels alone, too: what the principal components
leave of images of 32 pixels.
"""

import pathlib

import numpy as np
from absl import logging

import keras_isd
from keras_isd.command import tables
from keras_isd.command.images import add_reading_arguments, read_images
from keras_isd.command.places import holds_image_column
from keras_isd.command.values import natural_int, positive_int

KINDS = ("image", "local")
DRAWN_IMAGES = 30
NAMED_IMAGES = 5  # in the warning that the scores disagree
COLUMNS = ["name", "score", "x", "y", "pixel_score", "pixel_rank"]


def add_arguments(parser):
    tables.add_feature_arguments(parser)
    tables.add_approximate_argument(parser)
    parser.add_argument(
        "--kind",
        choices=KINDS,
        default="image",
        help="unusual images, by features, or images with an unusual patch, by pixels",
    )
    parser.add_argument(
        "--k",
        type=positive_int,
        help="neighbours compared; a fiftieth of the images, 10 to 100, if not given",
    )
    parser.add_argument("--seed", type=natural_int, default=0, help="random seed of --kind=local")
    add_reading_arguments(parser)
    parser.set_defaults(labels="none")


def run(arguments):
    if arguments.kind == "local":
        run_local(arguments)
        return
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


def run_local(arguments):
    """Writes the outliers by their patches, compares them with pixels alone, and draws them."""
    if arguments.k is not None or arguments.approximate:
        arguments.fail(
            "--k and --approximate must not be given with --kind=local. "
            f"Received: --k={arguments.k}, --approximate={arguments.approximate}"
        )
    source = _read_source(arguments)
    output = tables.output_path(arguments, "outliers.csv")
    names = source.names or [f"row {row}" for row in range(len(source))]
    found = keras_isd.exploration.find_local_outliers(source, seed=arguments.seed)
    pixels = keras_isd.exploration.pixel_outlier_scores(source)
    readable = found.bank.readable
    order = found.rows()
    pixel_order = readable[np.argsort(-pixels[readable], kind="stable")]
    rank = np.zeros(len(source), int)
    rank[pixel_order] = 1 + np.arange(len(readable))
    lines = (
        (names[i], float(found.scores[i]), *found.places[i].tolist(), float(pixels[i]), rank[i])
        for i in order
    )
    tables.write_table(output, COLUMNS, lines)
    if unreadable := [name for name, _ in source.unreadable()]:
        print(f"left out, since they cannot be read: {', '.join(sorted({*unreadable}))}")
    _compare(order, pixel_order, names)
    if arguments.picture:
        _draw(output.with_suffix(".jpg"), source, found)


def _read_source(arguments):
    """The images of a folder or another place, or those that tables of features name."""
    places = arguments.features
    if len(places) == 1 and _holds_images(places[0]):
        return read_images(places[0], arguments)
    names = keras_isd.evaluation.load_features(places, arguments.root).names
    if names is None:
        raise ValueError("The table must have the images' names. Received: a table without names")
    return tables.open_images(arguments, names, channels=arguments.channels)


def _holds_images(place):
    """Whether a place has images, and is no table of features."""
    suffix = pathlib.Path(place).suffix
    if suffix == ".parquet":
        return holds_image_column(place)
    if "*" in place and suffix in keras_isd.evaluation.feature_table.ENDINGS:
        return False
    if suffix == ".npz" and pathlib.Path(place).is_file():
        with np.load(place, allow_pickle=False) as arrays:
            return "images" in arrays.files
    if suffix == ".csv" and pathlib.Path(place).is_file():
        columns = pathlib.Path(place).read_text(encoding="utf-8-sig").split("\n", 1)[0]
        return "f0" not in columns.strip().split(",")
    return True


def _compare(order, pixel_order, names):
    """Prints how many of the first outliers pixels alone find too; warns if it is less than half.

    The first outliers are two percent of the images, at least ten.
    """
    count = min(len(order), max(10, len(order) // 50))
    first, by_pixels = order[:count], pixel_order[:count]
    common = np.intersect1d(first, by_pixels)
    print(f"{len(common)} of the first {count} outliers are also the first {count} by pixels alone")
    if len(common) >= count / 2:
        return
    only = [names[row] for row in by_pixels if row not in common]
    logging.warning(
        "The scores of patches and of pixels disagree: inspect both, see pixel_rank. Only pixels "
        "find %s%s",
        ", ".join(only[:NAMED_IMAGES]),
        f" and {len(only) - NAMED_IMAGES} more" * (len(only) > NAMED_IMAGES),
    )


def _draw(picture, source, found):
    try:
        found.plot(source, DRAWN_IMAGES, path=picture)
    except ImportError as error:
        logging.warning("No picture: %s", error)
        return
    print(f"drawn in {picture}")
