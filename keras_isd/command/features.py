"""The tables of features that parts of the command read, and pictures of what they find."""

import pathlib

import numpy as np
from absl import flags, logging

from keras_isd import data, evaluation, visualization
from keras_isd.command.tables import check_that_no_labels_are_lost

OUTPUT = flags.DEFINE_string("output", None, "Table .csv to write; a picture .jpg comes beside it.")
PICTURE = flags.DEFINE_bool("picture", True, "Whether to draw the first images.")


def features_of(places):
    """`Features` of a table, of several, or of a pattern, and names for all rows."""
    if not places:
        raise flags.Error("Give a table of features, as keras-isd embed writes. Received: none")
    found = evaluation.load_features(places)
    if found.names is None:
        found.names = [f"row {index}" for index in found.indices]
    return found


def output_of(default):
    """The path of the table to write."""
    path = pathlib.Path(OUTPUT.value or default)
    check_that_no_labels_are_lost(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def draw(path, names, groups, titles=None, captions=None):
    """Draws groups of images beside a table, where the images are files that are there."""
    if not PICTURE.value or not groups:
        return
    groups = [group[:10] for group in groups[:30]]
    drawn = sorted({int(row) for group in groups for row in group})
    place = {row: number for number, row in enumerate(drawn)}
    groups = [[place[int(row)] for row in group] for group in groups]
    picture = path.with_suffix(".jpg")
    try:
        source = data.from_paths([names[row] for row in drawn])
        images = [_image_or_grey(source, number) for number in range(len(drawn))]
        visualization.plot_image_rows(images, groups, titles, captions=captions, path=picture)
    except (ImportError, ValueError) as error:
        logging.warning("No picture: %s", error)
        return
    print(f"drawn in {picture}")


def _image_or_grey(source, row):
    """An image, or a grey one in place of one that cannot be read: never another."""
    image, of = source.read_one(row)
    return image if of == row else np.full((8, 8, 3), 200, "uint8")
