"""Folders of image files."""

import collections
import os

import numpy as np
from absl import logging

from keras_isd.data.sources.file_table import source_of_paths
from keras_isd.data.sources.remote import is_remote, list_remote

SPLITS = {"train", "val", "valid", "validation", "test"}


def from_folder(
    directory,
    split=None,
    on_error="skip",
    class_names=None,
    *,
    labels="auto",
    channels=None,
    dtype=None,
    decode=None,
    extensions=None,
    follow_links=False,
):
    """Makes a source of the image files in a folder, at any depth, labelled by subfolder or not.

    In ImageNet's layout, `DIRECTORY/SPLIT/CLASS/*.JPEG`, the classes are the names of the
    subfolders in alphabetical order; images of a class may lie in further folders. Files are read
    when they are needed, by what they hold and not by what they are called: all that Pillow reads,
    TIFF of any depth, channels and pages, `.npy` and `.npz` of one array, and DICOM (extra
    `[dicom]`). What is left out is counted by reason and logged; hidden files are not there.

    Numbers stay as they are stored. Views of images of more than 8 bits want to know their range:
    see `keras_isd.data.channel_statistics`.

    Args:
        directory: path, local or such as `gs://bucket/images`.
        split: str, a subfolder such as `"train"`, or None.
        on_error: `"skip"` or `"raise"`, for files that cannot be read. Where one is skipped the
            next one stands in; `source.unreadable()` and `keras_isd.callbacks.ReportUnreadable`
            tell.
        class_names: list of str, the classes in the order of their labels, such as those of another
            split, of which this one may lack some; or None.
        labels: `"folder"` for classes by subfolder, where images beside them are of none (-1); None
            for no labels; `"auto"` for the one where all images are in subfolders, else the other.
        channels: int, how many channels images have. By default that of the files, but three where
            they are one, which is repeated, or three and a transparency, which is dropped.
        dtype: str, the images' numbers: of 16 bits `"uint8"` makes 8. By default that of the files.
        decode: function from the contents of a file, bytes, to an array `(H, W)` or `(H, W, C)`,
            for formats that are not known here; or None.
        extensions: list of str such as `[".tif"]`, what names must end in. By default those of all
            known formats, and with `decode` any.
        follow_links: bool, whether to take what links lead to outside of the folder.

    Returns:
        An `ImageSource`, whose `names` are the paths of its files.

    Raises:
        ImportError: if the extra that reads the files is not installed.
        ValueError: if there is no such folder, or no image in it, or its subfolders are `train`,
            `val` and so on, of which `split` has to name one, or are not all in `class_names`, or
            `channels` or `dtype` is not given where files differ.

    Example:

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (folder / name).mkdir()
    ...     Image.new("RGB", (9, 8)).save(folder / name / "1.png")
    >>> source = keras_isd.data.from_folder(folder)
    >>> source.class_names, source.labels
    (['cat', 'dog'], array([0, 1], dtype=int32))
    """
    if labels not in ("auto", "folder", None):
        raise ValueError(f'Argument `labels` must be "auto", "folder" or None. Received: {labels=}')
    folder = f"{os.fspath(directory)}".rstrip("/") + (f"/{split}" if split else "")
    if not is_remote(folder) and not os.path.isdir(folder):
        raise ValueError(f"Argument `directory` must be a folder. Received: {folder}")
    if extensions is None:
        extensions = None if decode else EXTENSIONS
    else:
        extensions = [extensions] if isinstance(extensions, str) else extensions
        extensions = tuple(extension.lower() for extension in extensions)
    files, left_out = list_files(folder, extensions, follow_links)
    if not files:
        wanted = "files" if extensions is None else f"image files ({', '.join(extensions)})"
        others = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
        raise ValueError(
            f"Argument `directory` must hold {wanted}. Received: {folder}"
            + (f" with {others}" if others else "")
        )
    say_what_is_left_out(folder, left_out)
    tops = {_top(path) for path in files}
    if labels == "auto":
        labels = None if None in tops else "folder"
    numbers = None
    if labels == "folder":
        found = sorted(tops - {None})
        _check_split(folder, split, found)
        class_names, numbers = _classes(files, found, class_names)
    for row, path in enumerate(files):  # in place, for memory's sake where there are millions
        files[row] = f"{folder}/{path}"
    return source_of_paths(
        files, numbers, class_names, on_error, channels=channels, dtype=dtype, decode=decode
    )


def _top(path):
    """The subfolder that a file is in, or None."""
    return path.partition("/")[0] if "/" in path else None


def _check_split(folder, split, found):
    if found and {name.lower() for name in found} <= SPLITS:
        raise ValueError(
            "Argument `split` must name one of the parts that the folder holds, or `labels` be "
            f"None. Received: {split=}, {folder} with {', '.join(found)}"
        )


def _classes(files, found, class_names):
    """Names of classes, and the number of each file's, of their subfolders."""
    class_names = found if class_names is None else list(class_names)
    if unknown := sorted(set(found) - set(class_names)):
        raise ValueError(
            "Argument `class_names` must have all classes of the folder. "
            f"Received: {class_names[:5]} and so on, without {unknown[:5]}"
        )
    number = {None: -1, **{name: number for number, name in enumerate(class_names)}}
    return class_names, np.fromiter((number[_top(path)] for path in files), "int32", len(files))


# What a name has to end in; `.npy` and `.npz` are arrays, `.dcm` is DICOM.
EXTENSIONS = (
    *(".avif", ".bmp", ".dcm", ".dib", ".gif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg"),
    *(".jpg", ".mpo", ".npy", ".npz", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".sgi"),
    *(".tga", ".tif", ".tiff", ".webp"),
)


def list_files(folder, extensions=None, follow_links=False):
    """Paths of the files in a folder and its folders, relative to it, in alphabetical order.

    Hidden files and folders are left out, and so are links that lead out of the folder, unless
    asked for. What is left out, hidden ones apart, is counted by reason and said once.

    Args:
        folder: str, local or such as `gs://bucket/images`.
        extensions: what names must end in, in small letters; None for any.
        follow_links: bool, whether to take what links lead to outside of the folder.

    Returns:
        Pair: list of str, and a dict from reasons to how many were left out for them.
    """
    left_out: collections.Counter[str] = collections.Counter()
    remote = is_remote(folder)
    files = list(list_remote(folder) if remote else _local(folder, follow_links, left_out))
    if extensions is not None:
        taken = [path for path in files if path.lower().endswith(extensions)]
        if len(taken) < len(files):
            endings = (os.path.splitext(path)[1].lower() for path in set(files) - set(taken))
            for ending, count in collections.Counter(endings).items():
                left_out[f"{ending} files" if ending else "files without an extension"] += count
        files = taken
    files.sort(key=lambda path: path.split("/"))
    return files, left_out


def say_what_is_left_out(folder, left_out):
    """Logs what a folder has that is not taken, if there is any."""
    if left_out:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in left_out.most_common())
        logging.warning("Left out of %s: %s", folder, counts)


def _local(folder, follow_links, left_out):
    root = os.path.realpath(folder)
    seen, waiting = {root}, [""]
    while waiting:
        inside = waiting.pop()
        try:
            entries = os.scandir(os.path.join(folder, inside))
        except OSError:
            left_out["folders that may not be read"] += 1
            continue
        with entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = inside + entry.name
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if not os.path.exists(target):
                        left_out["links to what is not there"] += 1
                        continue
                    if not follow_links and os.path.commonpath((root, target)) != root:
                        left_out["links that lead out of it (`follow_links=True` takes them)"] += 1
                        continue
                    # What lies in the folder itself is taken there, if it is not hidden.
                    inner = os.path.relpath(target, root)
                    taken = not any(part.startswith(".") for part in inner.split(os.sep))
                    if taken or target in seen:
                        left_out["links to what is taken already"] += 1
                        continue
                    seen.add(target)
                if entry.is_dir():
                    waiting.append(path + "/")
                elif entry.is_file():
                    yield path
