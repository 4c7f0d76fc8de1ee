"""Makes sources from folders of image files."""

import os

import numpy as np

from keras_isd.data.decoding.formats import EXTENSIONS
from keras_isd.data.decoding.part_readers import PARTS_ONLY
from keras_isd.data.groups import path_groups
from keras_isd.data.sources.file_table import make_path_source
from keras_isd.data.sources.listing import list_files, log_skipped
from keras_isd.data.sources.remote import is_remote

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
    group=None,
    raw=False,
):
    """Makes a source of the image files in a folder and its subfolders.

    In ImageNet's layout, `DIRECTORY/SPLIT/CLASS/*.JPEG`, the classes are the names of the
    subfolders in alphabetical order; a class may have further subfolders. Files are read on demand.
    Their contents determine the format, not their names: every format of Pillow, TIFF of any depth
    with any number of channels and pages, `.npy`, `.npz` of a single array, and DICOM (extra
    `[dicom]`). Skipped files are counted by reason and logged; hidden files are ignored.

    Pixel values stay as they are stored. Views of images with more than 8 bits need the value
    range: see `keras_isd.data.channel_statistics`.

    Args:
        directory: path, local or such as `gs://bucket/images`.
        split: str, a subfolder such as `"train"`, or None. Defaults to None.
        on_error: `"skip"` or `"raise"`, for unreadable files. A skipped file is replaced by the
            next one; `source.unreadable()` and `keras_isd.callbacks.ReportUnreadable` report it.
            Defaults to `"skip"`.
        class_names: list of str, the classes in the order of their labels, for example those of
            another split; this split may lack some. None for the subfolders. Defaults to None.
        labels: `"folder"` for classes by subfolder, with label -1 for images outside of subfolders;
            None for no labels; `"auto"` for `"folder"` if all images are in subfolders, and for
            None otherwise. Defaults to `"auto"`.
        channels: int; None for the channels of the files, where a single channel is repeated to
            three, and a fourth (transparency) is dropped. Defaults to None.
        dtype: str, the data type: `"uint8"` converts 16 bits to 8. None for that of the files.
            Defaults to None.
        decode: function from the contents of a file, bytes, to an array `(H, W)` or `(H, W, C)`,
            for formats that this package does not know; or None. Defaults to None.
        extensions: str or list of str such as `[".tif"]`, the endings of file names; None for those
            of all known formats, or for any ending if `decode` is given. Defaults to None.
        follow_links: bool, whether to follow symbolic links that lead out of the folder. Defaults
            to False.
        group: int or str, the folder that names what an image was taken with or in, such as
            `"plate*"` or the level 0: see `keras_isd.data.groups.path_groups`. None for no groups.
            Defaults to None.
        raw: bool, whether the values of DICOM are left as they are stored. By default they are in
            the units of the modality, such as Hounsfield units, as float32. Defaults to False.

    Returns:
        An `ImageSource`, whose `names` are the paths of its files.

    Raises:
        ImportError: if the extra that reads the files is not installed.
        ValueError: if the folder does not exist or has no image; if its subfolders are splits such
            as `train` and `val`, and `split` names none of them; if a subfolder is not in
            `class_names`; or if files differ in channels or data type and the argument is None.

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
        extensions = None if decode else (*EXTENSIONS, *PARTS_ONLY)
    else:
        extensions = [extensions] if isinstance(extensions, str) else extensions
        extensions = tuple(extension.lower() for extension in extensions)
    files, skipped = list_files(folder, extensions, follow_links)
    if not files:
        expected = "files" if extensions is None else f"image files ({', '.join(extensions)})"
        others = ", ".join(f"{count} {reason}" for reason, count in skipped.most_common())
        raise ValueError(
            f"Argument `directory` must hold {expected}. Received: {folder}"
            + (f" with {others}" if others else "")
        )
    log_skipped(folder, skipped)
    subfolders = {_subfolder(path) for path in files}
    if labels == "auto":
        labels = None if None in subfolders else "folder"
    numbers = None
    if labels == "folder":
        names = sorted(subfolders - {None})
        _check_split(folder, split, names)
        class_names, numbers = _number_classes(files, names, class_names)
    for row, path in enumerate(files):  # in place, to save memory for millions of files
        files[row] = f"{folder}/{path}"
    groups, group_names = (None, None) if group is None else path_groups(files, group)
    return make_path_source(
        files,
        numbers,
        class_names,
        on_error,
        channels=channels,
        dtype=dtype,
        decode=decode,
        raw=raw,
        groups=groups,
        group_names=group_names,
    )


def _subfolder(path):
    """The top-level subfolder of a file, or None."""
    return path.partition("/")[0] if "/" in path else None


def _check_split(folder, split, subfolders):
    if subfolders and {name.lower() for name in subfolders} <= SPLITS:
        raise ValueError(
            "Argument `split` must name one of the folder's splits, or `labels` must be None. "
            f"Received: {split=}, {folder} with {', '.join(subfolders)}"
        )


def _number_classes(files, subfolders, class_names):
    """Numbers the classes; returns their names and the label of each file."""
    class_names = subfolders if class_names is None else list(class_names)
    if unknown := sorted(set(subfolders) - set(class_names)):
        raise ValueError(
            "Argument `class_names` must have all classes of the folder. "
            f"Received: {class_names[:5]} ..., without {unknown[:5]}"
        )
    number = {None: -1, **{name: number for number, name in enumerate(class_names)}}
    labels = (number[_subfolder(path)] for path in files)
    return class_names, np.fromiter(labels, "int32", len(files))
