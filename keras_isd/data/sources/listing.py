"""Lists the files in a folder and its subfolders."""

import collections
import os

from absl import logging

from keras_isd.data.decoding.stacks import is_zarr
from keras_isd.data.sources.remote import is_remote, list_remote


def list_files(folder, extensions=None, follow_links=False):
    """Lists the files in a folder and its subfolders, relative to it, in alphabetical order.

    Hidden files and folders are ignored. Names that are not UTF-8, which no table could hold, are
    skipped. Links that lead out of the folder are skipped, unless
    `follow_links` is True.

    Args:
        folder: str, local or such as `gs://bucket/images`.
        extensions: tuple of str, endings in lower case; None for any. Defaults to None.
        follow_links: bool, whether to follow links that lead out of the folder. Defaults to False.

    Returns:
        Pair of a list of str, and a `collections.Counter` of skipped entries by reason.
    """
    skipped: collections.Counter[str] = collections.Counter()
    files = list(
        list_remote(folder) if is_remote(folder) else _list_local(folder, follow_links, skipped)
    )
    if extensions is not None:
        matching = [path for path in files if path.lower().endswith(extensions)]
        if len(matching) < len(files):
            endings = (os.path.splitext(path)[1].lower() for path in set(files) - set(matching))
            for ending, count in collections.Counter(endings).items():
                skipped[f"{ending} files" if ending else "files without an extension"] += count
        files = matching
    files.sort(key=lambda path: path.split("/"))
    return files, skipped


def _is_utf8(name):
    """Whether a name can be written to a table, and so be found again."""
    try:
        name.encode()
    except UnicodeEncodeError:  # of the bytes that `os.scandir` could not decode
        return False
    return True


def log_skipped(folder, skipped):
    """Logs how many entries of a folder were skipped, by reason."""
    if skipped:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in skipped.most_common())
        logging.warning("Skipped in %s: %s", folder, counts)


def _list_local(folder, follow_links, skipped):
    """Yields the paths of a local folder's files, and counts skipped entries."""
    root = os.path.realpath(folder)
    seen, waiting = {root}, [""]
    while waiting:
        inside = waiting.pop()
        try:
            entries = os.scandir(os.path.join(folder, inside))
        except OSError:
            skipped["folders without read permission"] += 1
            continue
        with entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not _is_utf8(entry.name):
                    skipped["names that are not UTF-8"] += 1
                    continue
                path = inside + entry.name
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if not os.path.exists(target):
                        skipped["broken links"] += 1
                        continue
                    if not follow_links and os.path.commonpath((root, target)) != root:
                        skipped["links out of the folder (`follow_links=True` follows them)"] += 1
                        continue
                    # A target within the folder is listed in its own place, unless it is hidden.
                    inner = os.path.relpath(target, root)
                    is_visible = not any(part.startswith(".") for part in inner.split(os.sep))
                    if is_visible or target in seen:
                        skipped["links to files or folders listed elsewhere"] += 1
                        continue
                    seen.add(target)
                if entry.is_dir() and not path.endswith(".zarr"):
                    waiting.append(path + "/")
                elif entry.is_file() or is_zarr(entry.path):
                    yield path
