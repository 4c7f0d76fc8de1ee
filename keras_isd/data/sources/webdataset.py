"""Makes sources of shards in the format of WebDataset: tar files of images with their labels.

The members of a sample have the same name up to its first dot, such as `0007.jpg` and `0007.cls`.
"""

import json
import os
import posixpath
import re
import tarfile
from typing import NamedTuple

import numpy as np
from absl import logging

from keras_isd.data.decoding.formats import EXTENSIONS, UnreadableImageError
from keras_isd.data.sources.function import from_function
from keras_isd.data.sources.patterns import expand_patterns
from keras_isd.files import write_text

ARRAYS = ("npy", "npz")  # which may be features: images only in samples without another file
_MEMBER = re.compile(r"(.*\.tar)/(.+)", re.DOTALL)


def from_webdataset(
    shards,
    label="auto",
    group=None,
    class_names=None,
    *,
    image=None,
    cache=None,
    on_error="skip",
    **options,
):
    """Makes a source of tar files in the format of WebDataset.

    The headers of the shards are read once, and then any image by its place in its shard. Machines
    that share the work take `shards[i::n]` each: the names of images differ between shards.

    Args:
        shards: path of a local, uncompressed tar file, pattern such as `"train-{000..009}.tar"` or
            `"train-*.tar"`, or list of these.
        label: str, the ending of the members that hold the label, an integer or a class name, or
            else a key of the members `.json`; `"auto"` for `"cls"` if there are such members; None
            for no labels. Defaults to `"auto"`.
        group: str, the ending or key of the groups, such as plates or patients; or None. Defaults
            to None.
        class_names: list of str, the classes in the order of their labels; None for the names among
            the labels. Defaults to None.
        image: str or list of str, endings of the images, such as `"jpg"` or `"input.png"`; None for
            those of all known formats. Defaults to None.
        cache: path of a file that keeps the places and labels of the images for later calls, as
            long as the shards have the same sizes and times; or None. Defaults to None.
        on_error: see `from_folder`. A shard that cannot be read to its end is logged, or raises.
            Defaults to `"skip"`.
        **options: `channels`, `dtype` and `decode`, see `from_folder`.

    Returns:
        An `ImageSource`, whose names are such as `train-000.tar/0007.jpg`.

    Raises:
        ValueError: if there is no shard or no image, no sample has the label or the group, or the
            file `cache` is not one of this function.

    Example:

    >>> import io, pathlib, tarfile, tempfile
    >>> from PIL import Image
    >>> png = keras_isd.data.sources.contents.to_contents(Image.new("RGB", (9, 8)))
    >>> shard = pathlib.Path(tempfile.mkdtemp(), "train-000.tar")
    >>> with tarfile.open(shard, "w") as tar:
    ...     for name, contents in {"0007.png": png, "0007.cls": b"3"}.items():
    ...         member = tarfile.TarInfo(name)
    ...         member.size = len(contents)
    ...         tar.addfile(member, io.BytesIO(contents))
    >>> source = keras_isd.data.from_webdataset(shard)
    >>> source[0].shape, source.labels.tolist(), pathlib.Path(source.names[0]).name
    ((8, 9, 3), [3], '0007.png')
    """
    paths = expand_patterns("shards", shards)
    endings = [image] if isinstance(image, str) else image
    endings = endings and [ending.lower().lstrip(".") for ending in endings]
    wanted = {"image": endings, "label": "cls" if label == "auto" else label, "group": group}
    index = _read_index(paths, wanted, on_error, cache)
    if not index.names:
        raise ValueError(
            f"Argument `shards` must hold images ({', '.join(endings or EXTENSIONS)}). "
            f"Received: {len(paths)} shards, such as {paths[0]}"
        )
    labels = index.labels
    for argument, chosen, found in (("label", label, labels), ("group", group, index.groups)):
        if chosen not in (None, "auto") and set(found) == {None}:
            raise ValueError(
                f"Argument `{argument}` must be an ending or a key of .json in the shards. "
                f"Received: {chosen}"
            )
    has_labels = label is not None and (label != "auto" or set(labels) != {None})
    return from_function(
        ShardImages(paths, np.array(index.places, "int64")),
        len(index.names),
        labels if has_labels else None,
        class_names,
        groups=None if group is None else [*map(str, index.groups)],
        names=index.names,
        on_error=on_error,
        **options,
    )


def parse_member(name):
    """Parses the name of an image in a shard: pair of the shard and the member; None for others."""
    match = _MEMBER.fullmatch(name)
    return match.groups() if match and os.path.isfile(match[1]) else None


def member_source(parsed, names, on_error="skip", **options):
    """Makes the source of images in shards with these names.

    Args:
        parsed: list of pairs of a shard and a member.
        names: list of str.
        on_error, **options: see `from_function`.
    """
    shards = list(dict.fromkeys(shard for shard, _ in parsed))
    number_of = {shard: number for number, shard in enumerate(shards)}
    place_of = {}
    for number, shard in enumerate(shards):
        with open(shard, "rb") as file:
            for member in _list_members(file, on_error):
                place_of[number, member.name] = member.offset, member.size
    places = []
    for shard, name in parsed:
        number = number_of[shard]
        places.append((number, *place_of.get((number, posixpath.normpath(name)), (-1, 0))))
    images = ShardImages(shards, np.array(places, "int64"))
    return from_function(images, len(names), names=names, on_error=on_error, **options)


class ShardImages:
    """Reads files within shards.

    Args:
        shards: list of str, the paths of the shards.
        places: `(N, 3)` integers, the number of the shard, and the file's offset and length in it;
            an offset of -1 means that it has no such file.
    """

    def __init__(self, shards, places):
        self._shards, self._places = shards, places

    def __call__(self, row):
        shard, offset, length = self._places[row].tolist()
        if offset < 0:
            raise UnreadableImageError("the shard has no such file")
        with open(self._shards[shard], "rb") as file:
            file.seek(offset)
            contents = file.read(length)
        if len(contents) < length:
            raise UnreadableImageError("the shard is truncated")
        return contents


class Member(NamedTuple):
    """A file in a shard: its name, and its offset and size in bytes."""

    name: str
    offset: int
    size: int


class Index(NamedTuple):
    """The places of all images, see `ShardImages`, with their names, labels and groups."""

    places: list
    names: list
    labels: list
    groups: list


def _read_index(paths, wanted, on_error, cache):
    """Reads the index of shards from their headers, or from a file that an earlier call wrote."""
    if cache is None:
        return _index_shards(paths, wanted, on_error)
    states = [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths]
    about = json.loads(json.dumps({"shards": states, "wanted": wanted}))
    if os.path.exists(cache):
        try:
            with open(cache, encoding="utf-8") as file:
                stored = json.load(file)
            if stored["about"] == about:
                return Index(**stored["index"])
        except (ValueError, TypeError, KeyError):
            raise ValueError(
                "Argument `cache` must be a new file, or one that `from_webdataset` wrote. "
                f"Received: {cache}"
            ) from None
    index = _index_shards(paths, wanted, on_error)
    write_text(cache, json.dumps({"about": about, "index": index._asdict()}))
    return index


def _index_shards(paths, wanted, on_error):
    index = Index([], [], [], [])
    for number, path in enumerate(paths):
        with open(path, "rb") as file:
            samples: dict[str, dict[str, Member]] = {}
            for member in _list_members(file, on_error):
                folder, name = posixpath.split(member.name)
                key, _, ending = name.partition(".")
                if key:  # no hidden file
                    samples.setdefault(f"{folder}/{key}", {})[ending.lower()] = member
            for sample in samples.values():
                if image := _choose_image(sample, wanted["image"]):
                    index.places.append((number, image.offset, image.size))
                    index.names.append(f"{path}/{image.name}")
                    index.labels.append(_read_value(file, sample, wanted["label"]))
                    index.groups.append(_read_value(file, sample, wanted["group"]))
    return index


def _list_members(file, on_error):
    """Yields the files in an open shard, up to its end or the place where it is damaged."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.isreg() and not member.issparse():
                    yield Member(posixpath.normpath(member.name), member.offset_data, member.size)
                tar.members = []  # type: ignore[attr-defined] # would keep all headers in memory
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes it for the end
                raise tarfile.ReadError(f"no header at byte {tar.offset}")
    except tarfile.TarError as error:
        reason = f"{file.name} cannot be read to its end (compressed shards cannot): {error}"
        if on_error == "raise":
            raise ValueError(f"Argument `shards` must be tar files. Received: {reason}") from None
        logging.warning("%s", reason)


def _choose_image(sample, endings):
    """The image among the members of a sample, a dict by ending; None without one."""
    if endings is None:
        known = [ending for ending in sample if f".{ending}" in EXTENSIONS]
        endings = [*(e for e in known if e not in ARRAYS), *known]
    return next((sample[ending] for ending in endings if ending in sample), None)


def _read_value(file, sample, name):
    """A label or group: of the member with this ending, or else of this key in `.json`."""
    if name in sample:
        text = _read_text(file, sample[name])
        return int(text) if re.fullmatch(r"-?\d+", text) else text or None
    if name is None or "json" not in sample:
        return None
    try:
        return json.loads(_read_text(file, sample["json"])).get(name)
    except (ValueError, AttributeError):  # no JSON, or no object
        return None


def _read_text(file, member):
    file.seek(member.offset)
    return file.read(member.size).decode("utf-8", "replace").strip()
