"""Files that come to their names when they are whole."""

import os
import pathlib


def write_text(path, text):
    """Writes a text file beside its name first, so that a kill leaves the old one or the new."""
    path = pathlib.Path(path)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
