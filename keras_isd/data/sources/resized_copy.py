"""A smaller copy of the images of a source, on disk."""

import concurrent.futures
import io
import json
import pathlib

from PIL import Image

from keras_isd.compat.progress_bar import progress_bar
from keras_isd.data.decoding.decoder import Decoder
from keras_isd.data.decoding.resizing import with_shorter_side
from keras_isd.data.fingerprint import source_fingerprint
from keras_isd.data.sources.storage import FilesOnDisk
from keras_isd.files import atomic_path, write_text
from keras_isd.validation.arguments import check_positive_integer

NOTE = "resized.json"
BLOCK = 256  # images between two updates of the progress bar


def write_resized(source, size, folder, verbose="auto"):
    """Writes smaller copies of a source's images: `FilesOnDisk`, and the `Decoder` of these.

    See `ImageSource.resized`.
    """
    check_positive_integer("size", size)
    folder = pathlib.Path(folder).expanduser()
    as_jpeg = source.channels == 3 and source.dtype == "uint8"
    _check_note(folder, _facts(source, size))
    ending = "jpg" if as_jpeg else "tif"
    paths = [folder / f"{row // 1000:05}" / f"{row:09}.{ending}" for row in range(len(source))]

    def write(row):
        path = paths[row]
        if not path.exists():
            image, of = source.read_one(row)
            if of != row:  # which is tried again at the next call
                return
            contents = _encoded(with_shorter_side(image, size), as_jpeg)
            with atomic_path(path) as unfinished:
                unfinished.write_bytes(contents)

    progress = progress_bar(len(source), verbose)
    with concurrent.futures.ThreadPoolExecutor() as writers:
        for start in range(0, len(source), BLOCK):
            rows = range(start, min(start + BLOCK, len(source)))
            for part in {paths[row].parent for row in rows}:
                part.mkdir(exist_ok=True)
            list(writers.map(write, rows))
            progress.update(rows.stop)
    files = FilesOnDisk([str(path) for path in paths])
    return files, Decoder(source.channels, source.dtype)


def _facts(source, size):
    """What must be the same for a folder to be gone on with."""
    return {
        "size": size,
        "images": len(source),
        "channels": source.channels,
        "dtype": source.dtype,
        "names": source_fingerprint(source),
    }


def _check_note(folder, facts):
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / NOTE
    if note.exists():
        there = json.loads(note.read_text())
        if other := sorted(key for key in facts if there.get(key) != facts[key]):
            raise ValueError(
                "Argument `folder` must be a new one, or one of the same images and size. "
                f"Received: {folder} of other {', '.join(other)}"
            )
        return
    if any(folder.iterdir()):
        raise ValueError(
            "Argument `folder` must be new, empty or one that `resized` wrote. "
            f"Received: {folder}, with files"
        )
    write_text(note, json.dumps(facts))


def _encoded(image, as_jpeg):
    file = io.BytesIO()
    if as_jpeg:
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
