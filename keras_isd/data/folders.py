"""Folders of image files."""

import os

import numpy as np

from keras_isd.data.file_lists import source_of_paths
from keras_isd.data.listing import EXTENSIONS, list_files, say_what_is_left_out
from keras_isd.data.remote import is_remote

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
