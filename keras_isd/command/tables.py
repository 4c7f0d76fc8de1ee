"""The tables that parts of the command write, and read again."""

import csv
import pathlib

from keras_isd.data.sources.file_table import delimiter_of


def write_table(path, titles, rows):
    """Writes a table with its first line of titles, and says so."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(titles)
        for row in rows:
            table.writerow([f"{x:.4f}" if isinstance(x, float) else x for x in row])
    print(f"written to {path}")


def read_table(path):
    """The lines of a table, as dicts."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file, delimiter=delimiter_of(file)))


def check_that_no_labels_are_lost(path):
    """Raises a ValueError where there is a table with labels, which may be filled in by hand."""
    if pathlib.Path(path).is_file() and any(line.get("label") for line in read_table(path)):
        raise ValueError(
            "--output must not be a table with labels that are filled in; give another name. "
            f"Received: {path}"
        )
