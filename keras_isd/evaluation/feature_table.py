"""Writes and reads tables of features with image names: Parquet, CSV or `.npz`."""

import csv
import glob
import json
import os
import pathlib
import re
import zipfile
from typing import Any

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.sources.csv_file import read_csv
from keras_isd.evaluation.features import Features
from keras_isd.files import atomic_path

PIECE_ROWS = 4096  # rows that are written at a time
ENDINGS = (".parquet", ".csv", ".npz")


def save_features(path, features, rows=None):
    """Writes features with names, labels and indices to a table.

    The table has one row for each image, with the columns `name` and `label` (if known), `index`,
    and the features: in Parquet one column of lists, in CSV the columns `f0`, `f1` and so on. The
    names of classes and the facts are stored once, in CSV in the first row of the column `about`.
    In Parquet and `.npz` names of files are relative to their `root`, which is stored, too. The
    file is written atomically. Parquet and CSV are written in pieces, so that the features may be a
    memory map larger than memory.

    Args:
        path: path of the file, which ends in `.parquet`, `.csv` or `.npz`.
        features: `keras_isd.evaluation.Features`.
        rows: ints, the rows to write, in this order; None for all. Defaults to None.

    Raises:
        ImportError: if `path` ends in `.parquet` and pyarrow is not installed.
        ValueError: if `path` has another ending, or there are no rows to write.

    Example:

    >>> import tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp(), "features.csv")
    >>> seen = keras_isd.evaluation.Features(np.eye(2), None, np.arange(2), ["a", "b"])
    >>> keras_isd.evaluation.save_features(file, seen)
    >>> keras_isd.evaluation.load_features(file).names
    ['a', 'b']
    """
    path = check_table(path)
    rows = np.arange(len(features.features)) if rows is None else np.asarray(rows)
    if not len(rows):
        raise ValueError("Argument `features` must have at least one row. Received: 0 rows")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as unfinished:
        _WRITERS[path.suffix](unfinished, features, rows)


def load_features(path, root=None):
    """Reads features from tables that `save_features` wrote.

    Args:
        path: path, list of paths, or pattern such as `"features-*-of-8.parquet"`. The tables of a
            pattern are concatenated in the order of their names.
        root: path, the folder of the images, if they were moved since their table was written,
            with Parquet or `.npz`. Defaults to None: where they were.

    Returns:
        `keras_isd.evaluation.Features`.

    Raises:
        ImportError: if `path` ends in `.parquet` and pyarrow is not installed.
        ValueError: if a file does not exist, is not a table of features, if a part is missing, if
            tables are of different models, corrections or classes, or if `root` is given and a
            table has no relative names.

    Example:

    >>> import tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp(), "features.npz")
    >>> keras_isd.evaluation.save_features(
    ...     file, keras_isd.evaluation.Features(np.eye(2), np.array([4, 5]), np.arange(2)))
    >>> keras_isd.evaluation.load_features(file).labels
    array([4, 5], dtype=int32)
    """
    patterns = list(map(str, path if isinstance(path, (list, tuple)) else [path]))
    files: list[str] = []
    for pattern in patterns:
        matches = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))
        if not matches:
            raise ValueError(
                "Argument `path` must be a table of features. "
                f"Received: {pattern}, which does not exist"
            )
        files += matches
    if len(files) > 1 or files != patterns:  # a single part may be read by its full name
        _check_all_parts(files)
    parts = [_read(file, root) for file in files]
    if len(parts) == 1:
        return parts[0]
    check_same_features(files, parts)
    features, labels, indices = zip(*parts)
    if all(part is not None for part in labels):
        _check_same_classes(files, parts)
    names = [part.names for part in parts]
    return Features(
        np.concatenate(features),
        None if any(part is None for part in labels) else np.concatenate(labels),
        np.concatenate(indices),
        None if any(part is None for part in names) else [name for part in names for name in part],
        class_names=parts[0].class_names,
        facts=parts[0].facts,
        root=parts[0].root,
    )


def check_table(path):
    """Checks a table's ending and that its library is installed, and returns the path."""
    path = pathlib.Path(path).expanduser()
    if path.suffix not in ENDINGS:
        raise ValueError(f"Argument `path` must end in one of {ENDINGS}. Received: {path}")
    if path.suffix == ".parquet":
        with needs_extra("explore"):
            import pyarrow.parquet  # noqa: F401
    return path


def check_same_features(files, parts):
    """Raises a ValueError unless tables of features are of one model and correction.

    Args:
        files: list of str, the tables.
        parts: list of `Features`, one for each.
    """
    first = parts[0]
    for file, part in zip(files, parts):
        about = [
            (name, one.get(name, "unknown"), other.get(name, "unknown"))
            for one, other in [(first.facts, part.facts)]
            for name in sorted({*one, *other})
        ]
        about.append(("width", first.features.shape[1], part.features.shape[1]))
        if found := [f"{name} {a} and {b}" for name, a, b in about if a != b]:
            raise ValueError(
                "Tables of features must be of one model, with the same correction, because other "
                f"features cannot be compared. Received: {'; '.join(found)}, in {files[0]} and "
                f"{file}"
            )


def _check_same_classes(files, parts):
    for file, part in zip(files, parts):
        if part.class_names != parts[0].class_names:
            raise ValueError(
                "Tables that are read together must have the same classes. Received: "
                f"{parts[0].class_names} in {files[0]}, {part.class_names} in {file}"
            )


def _check_all_parts(files):
    """Raises a ValueError if files named `NAME-I-of-N` are not all N parts."""
    matches = [re.search(r"-(\d+)-of-(\d+)$", pathlib.Path(file).stem) for file in files]
    parts = [(int(match[1]), int(match[2])) for match in matches if match]
    if parts and len(parts) == len(files):
        count = parts[0][1]
        missing = sorted(set(range(1, count + 1)) - {number for number, _ in parts})
        if missing:
            raise ValueError(
                f"Argument `path` must have all {count} parts. Received: {len(files)} files, "
                f"without part {', '.join(map(str, missing[:5]))}"
            )


def _read(file, root):
    path = check_table(file)
    try:
        return _READERS[path.suffix](path, root)
    except (KeyError, IndexError, StopIteration, zipfile.BadZipFile, OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise ValueError(
        "Argument `path` must be a table that `save_features` wrote, with columns of features. "
        f"Received: {file} ({reason})"
    )


def _relative(features):
    """The features with names relative to their root, if all are inside it; and the metadata."""
    values, labels, indices = features
    names, root = features.names, features.root
    if names is not None and root is not None:
        places = [pathlib.PurePath(name) for name in names]
        if all(place.is_relative_to(root) for place in places):
            names = [place.relative_to(root).as_posix() for place in places]
        else:
            root = None
    return Features(values, labels, indices, names), _metadata(features, root)


def _metadata(features, root=None):
    """The root, class names and facts, which are stored once, as JSON."""
    about = {"root": root, "class_names": features.class_names, "facts": features.facts}
    return json.dumps(about)


def _assemble(values, labels, indices, names, about, root):
    """`Features` from the columns of a table and its metadata."""
    about = json.loads(about or "{}")
    stored, facts, classes = map(about.get, ("root", "facts", "class_names"))
    if root is not None and (names is None or stored is None):
        raise ValueError(f"the table has no names relative to a folder, but {root=} is given")
    if names is not None and None in names:
        raise ValueError(f"row {names.index(None)} has no name")
    folder = stored if root is None else str(root)
    if names is not None and folder is not None:
        names = [str(pathlib.Path(folder, name)) for name in names]
    return Features(values, labels, indices, names, class_names=classes, facts=facts, root=folder)


def _pieces(features, rows):
    """Yields the columns of a few rows at a time, as dicts."""
    values, labels, indices = features
    for start in range(0, len(rows), PIECE_ROWS):
        part = rows[start : start + PIECE_ROWS]
        yield {
            "name": None if features.names is None else [features.names[row] for row in part],
            "index": indices[part],
            "label": None if labels is None else labels[part],
            "features": np.asarray(values[part], "float32"),
        }


def _write_parquet(path, features, rows):
    with needs_extra("explore"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    writer: Any = None
    features, about = _relative(features)
    for piece in _pieces(features, rows):
        values = piece.pop("features")
        columns = {name: pa.array(column) for name, column in piece.items() if column is not None}
        flat = pa.array(values.ravel())
        columns["features"] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        table = pa.table(columns, metadata={"keras_isd": about})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def _read_parquet(path, root):
    with needs_extra("explore"):
        import pyarrow.parquet as pq

    table = pq.read_table(path)
    column = table["features"].combine_chunks()
    values = column.values.to_numpy(zero_copy_only=False).reshape(len(table), -1)
    columns = {name: table[name] for name in table.column_names}
    return _assemble(
        values,
        columns["label"].to_numpy().astype("int32") if "label" in columns else None,
        columns["index"].to_numpy(),
        columns["name"].to_pylist() if "name" in columns else None,
        (table.schema.metadata or {}).get(b"keras_isd"),
        root,
    )


def _write_csv(path, features, rows):
    width, names = features.features.shape[1], features.class_names
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        for number, piece in enumerate(_pieces(features, rows)):
            values = piece.pop("features")
            columns = {name: column for name, column in piece.items() if column is not None}
            if names is not None and "label" in columns:
                known = [*names, ""]  # a label of -1 is unknown
                columns["class"] = [known[label] for label in columns["label"]]
            about = _metadata(features) if number == 0 else ""
            columns["about"] = [about] + [""] * (len(values) - 1)
            if number == 0:
                table.writerow([*columns, *(f"f{i}" for i in range(width))])
            for cells, row in zip(zip(*columns.values()), values):
                table.writerow([*cells, *row])


def _read_csv(path, root):
    titles, rows = read_csv(path)
    first, width = titles.index("f0"), 1
    while titles[first + width : first + width + 1] == [f"f{width}"]:
        width += 1
    others = (*range(first), *range(first + width, len(titles)))
    columns = {titles[i]: [row[i] for row in rows] for i in others}
    return _assemble(
        np.array([row[first : first + width] for row in rows], "float32"),
        np.array(columns["label"], "int32") if "label" in columns else None,
        np.array(columns["index"], "int64"),
        columns.get("name"),
        columns["about"][0] if "about" in columns else None,
        root,
    )


def _write_npz(path, features, rows):
    features, about = _relative(features)
    arrays = {"features": features.features[rows], "index": features.indices[rows]}
    if features.labels is not None:
        arrays["label"] = features.labels[rows]
    if features.names is not None:  # as strings, because NumPy would pickle objects
        arrays["name"] = np.array([features.names[row] for row in rows], "U")
    with open(path, "wb") as file:
        np.savez(file, **arrays, about=np.array(about))


def _read_npz(path, root):
    with np.load(path, allow_pickle=False) as arrays:
        return _assemble(
            arrays["features"],
            arrays["label"].astype("int32") if "label" in arrays.files else None,
            arrays["index"],
            arrays["name"].tolist() if "name" in arrays.files else None,
            arrays["about"].item() if "about" in arrays.files else None,
            root,
        )


_WRITERS = {".parquet": _write_parquet, ".csv": _write_csv, ".npz": _write_npz}
_READERS = {".parquet": _read_parquet, ".csv": _read_csv, ".npz": _read_npz}
