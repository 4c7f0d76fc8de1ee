"""Reads CSV files as spreadsheets write them."""

import csv
import io
import pathlib


def read_csv(path):
    """Reads the titles and the lines of a CSV file.

    The text is UTF-8 or UTF-16, with or without a byte-order mark. The delimiter is a comma, or a
    semicolon or a tab if the first line has no comma.

    Args:
        path: path of the file.

    Returns:
        Pair of the titles, list of str, and the lines, a list of lists of str.

    Raises:
        ValueError: if the file has another encoding, or is no CSV file.
    """
    contents = pathlib.Path(path).read_bytes()
    is_utf16 = contents[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = contents.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"A table must be a text in UTF-8 or UTF-16. Received: {path}, with other bytes in "
            f"line {line}"
        ) from None
    first = text.partition("\n")[0]
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    try:
        lines = [line for line in csv.reader(io.StringIO(text, ""), delimiter=delimiter) if line]
    except csv.Error as error:
        raise ValueError(f"A table must be a CSV file. Received: {path} ({error})") from None
    return (lines[0], lines[1:]) if lines else ([], [])


def read_csv_rows(path):
    """Reads the lines of a CSV file as dicts by the titles; missing cells are empty."""
    titles, lines = read_csv(path)
    empty = dict.fromkeys(titles, "")
    return titles, [empty | dict(zip(titles, line)) for line in lines]
