"""The tables of features that parts of the command read, and what they write."""

import csv
import pathlib

from absl import flags, logging

from keras_isd import data, evaluation, visualization

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
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_table(path, titles, rows):
    """Writes a table with its first line of titles, and says so."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(titles)
        for row in rows:
            table.writerow([f"{x:.4f}" if isinstance(x, float) else x for x in row])
    print(f"written to {path}")


def draw(path, names, groups, titles=None, captions=None):
    """Draws groups of images beside a table, where the images are files that are there."""
    if not PICTURE.value or not groups:
        return
    picture = path.with_suffix(".jpg")
    drawn = sorted({int(row) for group in groups[:30] for row in group[:10]})
    if missing := [names[row] for row in drawn if not pathlib.Path(names[row]).is_file()]:
        logging.warning("No picture: %s is not there", missing[0])
        return
    place = {row: number for number, row in enumerate(drawn)}
    source = data.from_paths([names[row] for row in drawn], channels=3, dtype="uint8")
    groups = [[place[int(row)] for row in group[:10]] for group in groups[:30]]
    visualization.plot_image_rows(source, groups, titles, captions=captions, path=picture)
    print(f"drawn in {picture}")
