"""Lists of image files: of paths, of a table, and the authors' own."""

import csv
import os
import pathlib

import numpy as np

from keras_isd.data.decoding.decoder import decoder_for
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.data.sources.storage import FilesOnDisk


def from_paths(paths, labels=None, class_names=None, on_error="skip", **kind):
    """Makes a source of image files by their paths.

    Args:
        paths: list of paths, local or such as `gs://bucket/name.png`.
        labels: `(N,)` integers, -1 where unknown, or N str, the names of classes, empty where
            unknown; or None.
        class_names: list of str, the classes in the order of their labels; of labels that are names
            by default these in alphabetical order.
        on_error: see `from_folder`.
        **kind: `channels`, `dtype` and `decode` as of `from_folder`.

    Returns:
        An `ImageSource`, whose `names` are the paths.

    Raises:
        ValueError: if there are no paths, or labels are not as many or not among `class_names`.

    Example:

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> file = pathlib.Path(tempfile.mkdtemp(), "1.png")
    >>> Image.new("RGB", (9, 8)).save(file)
    >>> source = keras_isd.data.from_paths([file, file], labels=["dog", "cat"])
    >>> source.class_names, source.labels.tolist(), source[0].shape
    (['cat', 'dog'], [1, 0], (8, 9, 3))
    """
    paths = [os.fspath(path) for path in paths]
    if not paths or (labels is not None and len(labels) != len(paths)):
        raise ValueError(
            "Arguments `paths` and `labels` must be as many, and at least one. Received: "
            f"{len(paths)} paths, {'no' if labels is None else len(labels)} labels"
        )
    if labels is not None and np.asarray(labels).dtype.kind in "USOT":
        labels, class_names = _numbered(labels, class_names)
    return source_of_paths(paths, labels, class_names, on_error, **kind)


def from_csv(file, directory=None, path="path", label="label", class_names=None, **options):
    """Makes a source of the image files that a table names, with their labels.

    Args:
        file: path of a `.csv` file with a first line of columns' names, between commas, or between
            semicolons as some programs write them.
        directory: path of the folder that its paths begin in; by default that of the table.
        path, label: str, names of the columns; a `label` of None is for no labels. A label that is
            empty is an unknown one.
        class_names: see `from_paths`. Labels are names of classes, also where they are numbers.
        **options: `on_error`, `channels`, `dtype` and `decode` as of `from_folder`.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: if the table has no such column, or no lines.

    Example:

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (9, 8)).save(folder / "1.png")
    >>> _ = (folder / "table.csv").write_text("path,label\\n1.png,cat\\n")
    >>> keras_isd.data.from_csv(folder / "table.csv").class_names
    ['cat']
    """
    file = pathlib.Path(file)
    with open(file, newline="", encoding="utf-8-sig") as lines:
        table = csv.DictReader(lines, delimiter=find_delimiter(lines))
        columns = table.fieldnames or []
        if missing := [c for c in (path, label) if c is not None and c not in columns]:
            raise ValueError(
                f"Arguments `path` and `label` must name columns of {file}. "
                f"Received: {missing} where there are {columns}"
            )
        rows = list(table)
    folder = file.parent if directory is None else directory
    for line, row in enumerate(rows, start=2):
        if not row[path]:
            raise ValueError(
                f"Column `{path}` must name a file in each line. Received: line {line} of {file}, "
                f"{row}"
            )
    paths = [os.path.join(folder, row[path]) for row in rows]
    labels = None if label is None else [row[label] or "" for row in rows]
    return from_paths(paths, labels, class_names, **options)


def find_delimiter(file):
    """The delimiter of an open table: a comma, or a semicolon as some programs write."""
    first = file.readline()
    file.seek(0)
    return ";" if ";" in first and "," not in first else ","


def _numbered(labels, class_names):
    # pandas has None or NaN where there is none.
    labels = np.array(["" if x is None or x != x else str(x) for x in labels])
    names = sorted(set(labels.tolist()) - {""}) if class_names is None else list(class_names)
    numbers = {"": -1, **{name: number for number, name in enumerate(names)}}
    if unknown := sorted(set(labels.tolist()) - set(numbers)):
        raise ValueError(
            f"Argument `class_names` must have all labels. Received: none of {unknown[:5]}"
        )
    return [numbers[label] for label in labels.tolist()], names


def from_list_file(list_file, directory, on_error="skip"):
    """Makes a source of the files that a list names: the authors' unbalanced subsets.

    The list is a line `class names :`, the names, one a line, a line `Train Images:` and the
    files, as `/train/CLASS/NAME`, relative to the folder.

    Args:
        list_file: path.
        directory: path of the folder that has the file names' first part in it.
        on_error: see `from_folder`.

    Returns:
        An `ImageSource`, its classes in the list's order.

    Raises:
        ValueError: if the list is not of this form, or a file is not there.

    Source: `unbalanced_dataset/D1.txt` to `D10.txt` of the authors.

    Example:

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "list").write_text(
    ...     "class names :\\ncat\\ndog\\nTrain Images:\\n/train/dog/1.png\\n/train/cat/7.png\\n")
    >>> for name in ("dog/1.png", "cat/7.png"):
    ...     (folder / "train" / name).parent.mkdir(parents=True)
    ...     (folder / "train" / name).touch()
    >>> keras_isd.data.from_list_file(folder / "list", folder).labels
    array([1, 0], dtype=int32)
    """
    lines = [line.strip() for line in pathlib.Path(list_file).read_text().splitlines()]
    headers = [line.rstrip(" :").lower() for line in lines]
    if headers[:1] != ["class names"] or "train images" not in headers:
        raise ValueError(
            "Argument `list_file` must begin with a line `class names :` and have a line "
            f"`Train Images:`. Received: {list_file}, which begins with {lines[:1]}"
        )
    border = headers.index("train images")
    class_names = lines[1:border]
    files = [pathlib.Path(directory, line.lstrip("/")) for line in lines[border + 1 :] if line]
    unknown = [file for file in files if file.parent.name not in class_names]
    if unknown or not files:
        raise ValueError(
            f"Argument `list_file` must name files of its classes. Received: {list_file} with "
            + (f"{unknown[0]}" if unknown else "no files")
        )
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise ValueError(
            "Argument `directory` must hold the files of the list. "
            f"Received: {directory} without {len(missing)} of {len(files)}, such as {missing[0]}"
        )
    numbers = {name: number for number, name in enumerate(class_names)}
    labels = [numbers[file.parent.name] for file in files]
    return source_of_paths([str(file) for file in files], labels, class_names, on_error)


def source_of_paths(paths, labels, class_names, on_error, channels=None, dtype=None, decode=None):
    """A source of files by their paths, of the kind of images that they are."""
    files = FilesOnDisk(paths)
    odd = any(not path.isprintable() for path in paths)
    names = [*map(_printable, paths)] if odd else paths
    decoder = decoder_for(files, names, channels, dtype, decode)
    return ImageSource(
        files,
        labels,
        len(paths),
        names=names,
        class_names=class_names,
        on_error=on_error,
        decoder=decoder,
    )


def _printable(path):
    """A name that is not of UTF-8 as one that can be printed."""
    if path.isprintable():
        return path
    return os.fsencode(path).decode("utf-8", "backslashreplace")
