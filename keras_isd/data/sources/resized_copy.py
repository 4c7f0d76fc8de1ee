"""Writes a resized copy of a source's images to disk."""

import concurrent.futures
import io
import json
import os
import pathlib
import time

from PIL import Image

from keras_isd.compat.progress_bar import progress_bar
from keras_isd.data.decoding.decoder import Decoder
from keras_isd.data.decoding.resizing import limit_shorter_side
from keras_isd.data.fingerprint import is_changed_since, source_fingerprint
from keras_isd.data.sources.storage import FilesOnDisk
from keras_isd.files import lock, write_bytes, write_text
from keras_isd.validation.arguments import check_positive_integer

NOTE_NAME = "resized.json"  # the file that identifies the images and the settings of a copy
BLOCK_IMAGES = 256  # images between two updates of the progress bar


def write_resized(source, size, folder, verbose="auto"):
    """Writes resized copies of a source's images; returns `FilesOnDisk` and their `Decoder`.

    See `ImageSource.resized`.
    """
    check_positive_integer("size", size)
    folder = pathlib.Path(folder).expanduser()
    is_jpeg = source.channels == 3 and source.dtype == "uint8"
    ending = "jpg" if is_jpeg else "tif"
    paths = [folder / f"{row // 1000:05}" / f"{row:09}.{ending}" for row in range(len(source))]

    def write(row):
        path = paths[row]
        if not _is_current(path, source, row):
            path.unlink(missing_ok=True)
            began = time.time_ns()
            image, read_row = source.read_one(row)
            if read_row != row:  # unreadable; the next call tries again
                return
            contents = _encode(limit_shorter_side(image, size), is_jpeg)
            write_bytes(path, contents)
            os.utime(path, ns=(began, began))  # an image may change while it is read

    progress = progress_bar(len(source), verbose)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock(folder), concurrent.futures.ThreadPoolExecutor() as writers:
        _check_note(folder, _describe_copy(source, size))
        for start in range(0, len(source), BLOCK_IMAGES):
            rows = range(start, min(start + BLOCK_IMAGES, len(source)))
            for part in {paths[row].parent for row in rows}:
                part.mkdir(exist_ok=True)
            list(writers.map(write, rows))
            progress.update(rows.stop)
    files = FilesOnDisk([str(path) for path in paths])
    return files, Decoder(source.channels, source.dtype)


def _is_current(path, source, row):
    """Whether the copy of an image exists, and the image was not replaced or changed since."""
    if not path.exists():
        return False
    return source.names is None or not is_changed_since(source.names[row], path.stat().st_mtime_ns)


def _describe_copy(source, size):
    """The settings that must be equal for a later call to reuse a folder."""
    return {
        "size": size,
        "images": len(source),
        "channels": source.channels,
        "dtype": source.dtype,
        "names": source_fingerprint(source),
    }


def _check_note(folder, settings):
    """Checks that a folder is new or has the same settings, and writes them to a new one."""
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / NOTE_NAME
    if note.exists():
        stored = json.loads(note.read_text())
        if different := sorted(key for key in settings if stored.get(key) != settings[key]):
            raise ValueError(
                "Argument `folder` must be new, or a copy of the same images in the same size. "
                f"Received: {folder}, which differs in {', '.join(different)}"
            )
        return
    if any(folder.iterdir()):
        raise ValueError(
            "Argument `folder` must be new, empty, or written by `resized`. "
            f"Received: {folder}, which has other files"
        )
    write_text(note, json.dumps(settings))


def _encode(image, is_jpeg):
    file = io.BytesIO()
    if is_jpeg:
        Image.fromarray(image).save(file, "JPEG", quality=95, subsampling=0)
    else:
        import tifffile

        tifffile.imwrite(
            file,
            image if image.shape[-1] > 1 else image[..., 0],
            photometric="minisblack",
            planarconfig="contig" if image.shape[-1] > 1 else None,
            metadata=None,
        )
    return file.getvalue()
