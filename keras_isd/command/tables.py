"""Tables of features that subcommands read, tables that they write, and their pictures."""

import csv
import io
import pathlib

import numpy as np
from absl import logging

import keras_isd
from keras_isd.command.values import path

FORMULAS = ("=", "+", "-", "@")  # what a spreadsheet takes for the beginning of a formula


def add_feature_arguments(parser):
    """Adds tables of features, the table to write, and its picture."""
    parser.add_argument(
        "features",
        nargs="+",
        metavar="FEATURES",
        help='table that "keras-isd embed" wrote, several, or a pattern such as "f-*-of-8.parquet"',
    )
    add_root_argument(parser)
    add_output_arguments(parser)


def add_root_argument(parser):
    """Adds the folder of images that were moved since their table was written."""
    parser.add_argument("--root", type=path, help="folder of the images, if they were moved")
    parser.add_argument(
        "--remote", action="store_true", help="read images that the table names by URL"
    )


def add_output_arguments(parser):
    """Adds the table to write, and its picture."""
    parser.add_argument("--output", type=path, help="table .csv to write")
    parser.add_argument(
        "--picture", action="store_true", default=True, help="draw the first images, in a .jpg"
    )
    parser.add_argument("--no-picture", dest="picture", action="store_false", help="no picture")


def add_approximate_argument(parser):
    """Adds the choice of the neighbour search."""
    parser.add_argument(
        "--approximate",
        action="store_true",
        help="faster for a million images, and misses some neighbours; needs the extra [faiss]",
    )


def load_features(arguments):
    """`Features` of the tables; rows without a name are named by their index."""
    found = keras_isd.evaluation.load_features(arguments.features, arguments.root)
    if found.names is None:
        found.names = [f"row {index}" for index in found.indices]
    return found


def open_images(arguments, names, **options):
    """The `ImageSource` of the files that a table names.

    URLs need `--remote`: a table of somebody else could make this computer connect to any address,
    with this user's credentials.
    """
    urls = [name for name in names if keras_isd.data.sources.remote.is_remote(name)]
    if urls and not getattr(arguments, "remote", True):
        raise ValueError(
            "--remote must be given to read images by URL. "
            f"Received: {len(urls):,} names such as {urls[0]}, and no --remote"
        )
    return keras_isd.data.from_paths(names, **options)


def output_path(arguments, default):
    """Path of the table to write; raises a ValueError if filled-in labels would be lost."""
    output = pathlib.Path(arguments.output or default)
    if output.is_file() and any(line.get("label") for line in read_table(output)):
        raise ValueError(
            "--output must not be a table with filled-in labels; give another name. "
            f"Received: {output}"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    return output


def write_table(output, titles, rows):
    """Writes a table with a header line, and prints its path."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(titles)
    formulas: list[str] = []
    for row in rows:
        table.writerow([f"{x:.4f}" if isinstance(x, float) else x for x in row])
        formulas += (x for x in row if isinstance(x, str) and x.startswith(FORMULAS))
    if formulas:
        logging.warning(
            "A spreadsheet would run %d cells of %s as formulas, such as %s: import them as text",
            len(formulas),
            output,
            formulas[0],
        )
    keras_isd.files.write_bytes(output, text.getvalue().encode("utf-8", "backslashreplace"))
    print(f"written to {output}")


def read_table(place):
    """The lines of a table, as dicts."""
    return keras_isd.data.sources.csv_file.read_csv_rows(place)[1]


def draw_groups(arguments, output, names, groups, titles=None, captions=None):
    """Draws groups of images into a `.jpg` next to the table, if their files can be read."""
    if not arguments.picture or not len(groups):
        return
    groups = [group[:10] for group in groups[:30]]
    drawn = sorted({int(row) for group in groups for row in group})
    place = {row: number for number, row in enumerate(drawn)}
    groups = [[place[int(row)] for row in group] for group in groups]
    picture = output.with_suffix(".jpg")
    try:
        source = open_images(arguments, [names[row] for row in drawn])
        images = [_image_or_grey(source, number) for number in range(len(drawn))]
        keras_isd.visualization.plot_image_rows(
            images, groups, titles, captions=captions, path=picture
        )
    except (ImportError, ValueError) as error:
        logging.warning("No picture: %s", error)
        return
    print(f"drawn in {picture}")


def _image_or_grey(source, row):
    """An image, or grey pixels for one that cannot be read; never another image."""
    image, read = source.read_one(row)
    return image if read == row else np.full((8, 8, 3), 200, "uint8")
