"""Makes sources from lists of image files: paths, a CSV table, or the authors' list files."""

import os
import pathlib
import re

import numpy as np

from keras_isd.data.decoding.decoder import make_decoder
from keras_isd.data.sources.csv_file import read_csv_rows
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.data.sources.labels import number_labels
from keras_isd.data.sources.remote import is_remote
from keras_isd.data.sources.slices import named_slices, parse_slice
from keras_isd.data.sources.storage import FilesOnDisk
from keras_isd.data.sources.tiles import parse_name, tile_source
from keras_isd.data.sources.video import frame_source, parse_frame
from keras_isd.data.sources.webdataset import member_source, parse_member

_ROW = re.compile(r".*\[\d+\]", re.DOTALL)  # the names of `RowNames`


def from_paths(paths, labels=None, class_names=None, on_error="skip", **kind):
    """Makes a source from the paths of image files, or from the names of parts of files.

    Args:
        paths: list of paths, local or such as `gs://bucket/name.png`; or of names of tiles such as
            `slide.tif[0,256,256,256]`, see `tiles`, of slices, see `slices`, of frames, see
            `from_video`, or of images in shards, see `from_webdataset`.
        labels: `(N,)` integers with -1 for unknown labels, or N class names (str) with "" for
            unknown ones, or None. Defaults to None.
        class_names: list of str, the classes in the order of their labels; None for the names among
            `labels` in alphabetical order. Defaults to None.
        on_error: see `from_folder`. Defaults to `"skip"`.
        **kind: `channels`, `dtype`, `decode` and `raw`, see `from_folder`.

    Returns:
        An `ImageSource`, whose `names` are the paths.

    Raises:
        ValueError: if `paths` is empty, or `labels` differ in number or are not in `class_names`.

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
            "Arguments `paths` and `labels` must have the same length, at least one. Received: "
            f"{len(paths)} paths, {'no' if labels is None else len(labels)} labels"
        )
    if labels is not None and np.asarray(labels).dtype.kind in "USOT":
        labels, class_names = number_labels(labels, class_names)
    return make_path_source(paths, labels, class_names, on_error, **kind)


def from_csv(
    file, directory=None, path="path", label="label", class_names=None, group=None, **options
):
    """Makes a source from a CSV table of image paths and labels.

    Args:
        file: path of a `.csv` file, whose first line names the columns. The delimiter is a comma,
            or a semicolon or a tab as some programs write; the text is UTF-8 or UTF-16.
        directory: path of the folder to which the table's paths are relative; None for the table's
            own folder. Defaults to None.
        path, label: str, names of the two columns; a `label` of None makes a source without labels.
            An empty label is an unknown one; spaces around labels are dropped. Default to
            `"path"` and `"label"`.
        class_names: see `from_paths`. Labels are class names even if they are numbers. Defaults to
            None.
        group: str, name of the column of groups, such as a plate or a patient; or None. Defaults to
            None.
        **options: `on_error`, `channels`, `dtype`, `decode` and `raw`, see `from_folder`.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: if a column is missing, the table has no rows or another encoding, a row has no
            path, or a path has two labels.

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
    columns, rows = read_csv_rows(file)
    if missing := [c for c in (path, label, group) if c is not None and c not in columns]:
        named = "`path` and `label`" if group is None else "`path`, `label` and `group`"
        raise ValueError(
            f"Arguments {named} must name columns of {file}. "
            f"Received: {missing}, but the columns are {columns}"
        )
    folder = file.parent if directory is None else directory
    for line, row in enumerate(rows, start=2):
        if not row[path]:
            raise ValueError(
                f"Column `{path}` must have a path in each line. Received: line {line} of {file}, "
                f"{row}"
            )
    names = (row[path] for row in rows)
    paths = [name if is_remote(name) else os.path.join(folder, name) for name in names]
    labels = None if label is None else [row[label].strip() for row in rows]
    if labels is not None:
        _check_one_label(file, paths, labels)
    source = from_paths(paths, labels, class_names, **options)
    return source if group is None else source.with_groups([row[group] for row in rows])


def _check_one_label(file, paths, labels):
    """Raises a ValueError if a path has two labels: it could be trained on and tested."""
    known: dict[str, str] = {}
    for path, label in zip(paths, labels):
        other = known.setdefault(os.path.normpath(path), label)
        if other != label:
            raise ValueError(
                "A table must have one label for each path. "
                f"Received: {path} with the labels {other!r} and {label!r} in {file}"
            )


def from_list_file(list_file, directory, on_error="skip"):
    """Makes a source from a list file of the authors, such as their unbalanced subsets.

    The list file has a line `class names :`, one class name per line, a line `Train Images:`, and
    one file per line, as `/train/CLASS/NAME` relative to the folder.

    Args:
        list_file: path of the list file.
        directory: path of the folder to which the listed files are relative.
        on_error: see `from_folder`. Defaults to `"skip"`.

    Returns:
        An `ImageSource`, whose classes have the list's order.

    Raises:
        ValueError: if the list file has another format, or a listed file does not exist.

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
            f"`Train Images:`. Received: {list_file} with the first line {lines[:1]}"
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
    return make_path_source([str(file) for file in files], labels, class_names, on_error)


def make_path_source(
    paths,
    labels,
    class_names,
    on_error,
    channels=None,
    dtype=None,
    decode=None,
    raw=False,
    **groups,
):
    """Makes a source from paths of files, or from names of parts of files.

    Parts are tiles, slices, frames of videos and images in shards; see `from_folder` for the
    arguments.
    """
    options = {"labels": labels, "class_names": class_names, **groups}
    slices_found = _parse_all(paths, parse_slice)
    if slices_found:
        stacks = list(dict.fromkeys(one.file for one in slices_found))
        files = make_path_source(stacks, None, None, on_error, channels=1, raw=raw)
        return named_slices(files, slices_found, paths, **options)
    boxes = [parse_name(path) for path in paths]
    if any(boxes):
        images, boxes = _group_by_image(paths, boxes)
        large = make_path_source(images, None, None, on_error, channels, dtype, decode, raw)
        return tile_source(large, boxes, names=paths, **options)
    for parse, make in ((parse_frame, frame_source), (parse_member, member_source)):
        if parsed := _parse_all(paths, parse):
            kind = {"channels": channels, "dtype": dtype, "decode": decode}
            return make(parsed, paths, on_error, **kind, **options)
    if rows := [path for path in paths if _ROW.fullmatch(path) and not os.path.exists(path)]:
        raise ValueError(
            "Images must be files, or parts of files that names determine: tiles, slices, frames, "
            f"images in shards. Received: {rows[0]}, a row of a data set, which can only be read "
            "with `from_huggingface`, `from_parquet`, `from_hdf5` or `from_zarr`"
        )
    files = FilesOnDisk(paths)
    is_printable = all(path.isprintable() for path in paths)
    names = paths if is_printable else [*map(_to_printable, paths)]
    decoder = make_decoder(files, names, channels, dtype, decode, raw)
    return ImageSource(
        files,
        labels,
        len(paths),
        names=names,
        class_names=class_names,
        on_error=on_error,
        decoder=decoder,
        **groups,
    )


def _parse_all(names, parse):
    """The parts of all names, if they are of a kind; None if no name is.

    Raises:
        ValueError: if only some names are.
    """
    parsed = [parse(name) for name in names]
    if not any(parsed):
        return None
    if all(parsed):
        return parsed
    raise ValueError(
        "Names of slices, of frames and of images in shards must not be mixed with others. "
        f"Received: {names[parsed.index(None)]}"
    )


def _group_by_image(paths, boxes):
    """The large images of tiles, and the tiles' boxes with the row of the image; see `COLUMNS`."""
    found = [box or (path, (0,) * 5) for path, box in zip(paths, boxes)]  # or a whole image
    rows: dict[str, int] = {}
    table = [(rows.setdefault(path, len(rows)), *box) for path, box in found]
    return list(rows), np.array(table, "int32")


def _to_printable(path):
    """Escapes the bytes of a path that are not UTF-8."""
    if path.isprintable():
        return path
    return os.fsencode(path).decode("utf-8", "backslashreplace")
