"""Groups of images that were taken together: a plate, a slide, a scene, a patient, a day."""

import fnmatch
import os
import re

import numpy as np

MAX_SHARE = 0.5  # groups per image; with more, a group is hardly more than an image


def path_groups(names, group):
    """Numbers the groups of files by their folders.

    Args:
        names: list of str, paths of files.
        group: int, the level of the folder whose name is the group, 0 for the folders in the first
            folder that the files do not all share, -1 for the folder that holds the file; or str, a
            pattern such as `"plate*"` for the outermost folder of that name.

    Returns:
        Pair of an int32 array `(N,)` and the list of the groups' names, in alphabetical order.

    Raises:
        ValueError: if a file has no such folder.

    Example:

    >>> names = ["d/plate2/A01/1.tif", "d/plate1/B07/2.tif", "d/plate2/B07/3.tif"]
    >>> keras_isd.data.groups.path_groups(names, "plate*")
    (array([1, 0, 1], dtype=int32), ['plate1', 'plate2'])
    >>> keras_isd.data.groups.path_groups(names, 1)
    (array([0, 1, 1], dtype=int32), ['A01', 'B07'])
    """
    folders = _inner_folders(names)
    if isinstance(group, str):
        matches = re.compile(fnmatch.translate(group)).match
        found = [next(filter(matches, parts), None) for parts in folders]
        wanted = f"a folder like {group!r}"
    else:
        found = [parts[group] if -len(parts) <= group < len(parts) else None for parts in folders]
        wanted = f"a folder at level {group}"
    if None in found:
        raise ValueError(
            f"Argument `group` must be a folder of every file. Received: {group=}, and "
            f"{names[found.index(None)]} without {wanted}"
        )
    return number_groups(found)


def number_groups(found):
    """Numbers group names: pair of an int32 array `(N,)` and the sorted list of the names."""
    names = sorted(set(found))
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[name] for name in found], "int32"), names


def short_names(names):
    """Names of files without their folders, if they differ; or else the names."""
    short = [os.path.basename(name) for name in names]
    return short if len(set(short)) == len(short) else list(names)


def same_parts(groups, labels):
    """Whether groups divide the images as labels do; labels may be None."""
    if labels is None:
        return False
    pairs = len(np.unique(np.stack([groups, labels]), axis=1).T)
    return pairs == len(np.unique(groups)) == len(np.unique(labels))


def folder_levels(names):
    """The groups at each level of folders at which there are several, with several images each.

    Returns:
        Dict from the level to a pair, see `path_groups`.
    """
    folders = _inner_folders(names)
    levels = {}
    for level in range(min(map(len, folders))):
        numbers, found = number_groups([parts[level] for parts in folders])
        if 2 <= len(found) <= MAX_SHARE * len(names):
            levels[level] = numbers, found
    return levels


def _inner_folders(names):
    """The folders of each file below the folder that all files share, as lists of names."""
    parts = [re.split(r"[/\\]", os.fspath(name))[:-1] for name in names]
    first = min(parts, key=len)
    shared = 0
    while shared < len(first) and all(p[shared] == first[shared] for p in parts):
        shared += 1
    return [p[shared:] for p in parts]
