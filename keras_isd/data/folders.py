"""Folders of image files."""

import pathlib

from keras_isd.data.image_source import ImageSource
from keras_isd.data.stored_images import FilesOnDisk

SPLITS = {"train", "val", "valid", "validation", "test"}
EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


def from_folder(directory, split=None, on_error="skip", class_names=None):
    """Makes a source of the image files in a folder, labelled by subfolder or not at all.

    In ImageNet's layout, `DIRECTORY/SPLIT/CLASS/*.JPEG`, the classes are the names of the
    subfolders in alphabetical order; images of a class may lie in further folders. A flat folder,
    with images in it and no subfolders of images, is unlabelled. Files are read when they are
    needed; hidden ones are left out.

    Args:
        directory: path.
        split: str, a subfolder such as `"train"`, or None.
        on_error: `"skip"` or `"raise"`, for files that cannot be read. Where one is skipped the
            next one stands in; `source.unreadable()` and `keras_isd.callbacks.ReportUnreadable`
            tell.
        class_names: list of str, the classes in the order of their labels, such as those of another
            split, of which this one may lack some; or None.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: if there is no such folder, or no image in it or in one of its classes, or its
            subfolders are `train`, `val` and so on, of which `split` has to name one, or are not
            all in `class_names`.

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
    folder = pathlib.Path(directory, split or "")
    if not folder.is_dir():
        raise ValueError(f"Argument `directory` must be a folder. Received: {folder}")
    flat = _images_in(folder, "*")
    by_class = {
        part.name: _images_in(part, "**/*")
        for part in sorted(folder.iterdir())
        if part.is_dir() and not part.name.startswith(".")
    }
    found = [name for name, files in by_class.items() if files]
    if found and flat:
        raise ValueError(
            "A folder must hold images, or subfolders of images, one for each class. "
            f"Received: {folder} with both, such as {flat[0].name} and {found[0]}"
        )
    if not found and not flat:
        raise ValueError(
            f"Argument `directory` must hold image files ({', '.join(EXTENSIONS)}), at once or in "
            f"one subfolder for each class. Received: {folder}"
        )
    if found and {name.lower() for name in by_class} <= SPLITS:
        raise ValueError(
            "Argument `split` must name one of the parts that the folder holds. "
            f"Received: {split=}, {folder} with {', '.join(by_class)}"
        )
    if found and len(found) < len(by_class):
        raise ValueError(
            "Each subfolder must hold images of a class. Received: "
            f"{folder} with no images in {', '.join(sorted(by_class.keys() - found))}"
        )
    if flat:
        return _source(flat, None, None, on_error)
    class_names = found if class_names is None else list(class_names)
    if unknown := sorted(set(found) - set(class_names)):
        raise ValueError(
            "Argument `class_names` must have all classes of the folder. "
            f"Received: {class_names[:5]} and so on, without {unknown[:5]}"
        )
    number = {name: label for label, name in enumerate(class_names)}
    files = [file for name in found for file in by_class[name]]
    labels = [number[name] for name in found for _ in by_class[name]]
    return _source(files, labels, class_names, on_error)


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
    return _source(files, labels, class_names, on_error)


def _images_in(folder, pattern):
    """Image files, but not hidden ones, nor those of hidden folders inside."""
    return sorted(
        file
        for file in folder.glob(pattern)
        if file.suffix.lower() in EXTENSIONS
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    )


def _source(files, labels, class_names, on_error):
    names = [str(file) for file in files]
    return ImageSource(
        FilesOnDisk(names),
        labels,
        len(names),
        names=names,
        class_names=class_names,
        on_error=on_error,
    )
