"""The image files of a folder, at any depth, and what of it is left out, by reason."""

import collections
import os

from absl import logging

from keras_isd.data.remote import is_remote, list_remote

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
