"""The places that subcommands read images from, each recognised by its name."""

import os
import pathlib
import re

import numpy as np

import keras_isd

PLACES = (
    "folder, image, videos, .csv, .npz, .tar, .parquet, .h5, .zarr, hf:NAME/SPLIT or "
    "tfds:NAME/SPLIT"
)
LABEL_COLUMNS = ("label", "labels")
SPLIT = re.compile(r"(train|val|valid|validation|test|dev|unlabell?ed|unsupervised)\b.*")


def read_place(
    place,
    arguments,
    class_names=None,
    channels=None,
    labels="auto",
    group=None,
    every=None,
    raw=False,
    dtype=None,
    is_cut=False,
):
    """The `ImageSource` of a place, without any cutting of its images.

    Args:
        place: str, see `PLACES`.
        arguments: parsed arguments, with those of `add_reading_arguments`.
        class_names: list of str, the classes of other images, in the order of their labels.
            Defaults to None.
        channels: int, or None for those of the files. Defaults to None.
        labels: `"auto"`, `"folder"`, or `"none"` for no labels. Defaults to `"auto"`.
        group: int or str, the value of `--group`, or None. Defaults to None.
        every: float, the distance of frames in seconds, `"frame"`, or None. Defaults to None.
        raw: bool, whether DICOM's values are left as they are stored. Defaults to False.
        dtype: str, the data type that images are converted to; None for that of the files. Defaults
            to None.
        is_cut: bool, whether the images will be cut into tiles or slices, so that an array file is
            an image itself. Defaults to False.
    """
    ending, use_labels = _ending(place), labels != "none"
    if isinstance(group, int) and has_columns(place):
        arguments.fail(f"--group must name a column of {place}. Received: --group={group}")
    if group is not None and (place.startswith("tfds:") or ending == ".npz"):
        arguments.fail(f"--group must not be given for arrays or data sets. Received: {place}")
    if place.startswith("tfds:"):
        name, _, split = place.removeprefix("tfds:").partition("/")
        return keras_isd.data.from_tfds(name, split or "train", data_dir=arguments.data_dir)
    if ending == ".npz":
        return _read_arrays(place, use_labels)
    if is_video(place, every):
        return _read_videos(place, group, channels, dtype, every)
    if _is_image(place, is_cut):
        return keras_isd.data.from_paths([place], channels=channels, dtype=dtype, raw=raw)
    options = {"class_names": class_names, "channels": channels, "group": group, "dtype": dtype}
    if place.startswith("hf:"):
        return _read_huggingface(place, use_labels, options)
    if ending == ".csv":
        return _read_table(place, use_labels, options | {"raw": raw})
    if ending in _READERS:
        return _READERS[ending](place, use_labels, options)
    return keras_isd.data.from_folder(
        place,
        labels=labels if use_labels else None,
        follow_links=arguments.follow_links,
        raw=raw,
        **options,
    )


def _is_image(place, is_cut):
    """Whether a place is a single image file, such as a slide; array files only to be cut."""
    decoding = keras_isd.data.decoding
    endings = (*decoding.formats.EXTENSIONS, *decoding.part_readers.PARTS_ONLY)
    is_array = _ending(place) in (".npz", *_READERS)
    is_file = os.path.isfile(place) or _ending(place) == ".zarr"
    return is_file and place.lower().endswith(endings) and (is_cut or not is_array)


def has_columns(place):
    """Whether the groups of a place are a column or an array, and no folders."""
    return place.startswith("hf:") or _ending(place) in (".csv", *_READERS)


def is_video(place, every):
    """Whether a place has videos to read: files, or a folder if frames are asked for."""
    video, listing = keras_isd.data.sources.video, keras_isd.data.sources.listing
    if not os.path.isdir(place):
        return _ending(place) in video.ENDINGS
    return every is not None and bool(listing.list_files(place, video.ENDINGS)[0])


def holds_image_column(place):
    """Whether a table in Parquet, or the first of a pattern, has a column of image files."""
    sources = keras_isd.data.sources
    try:
        path = sources.patterns.expand_patterns("files", place)[0]
    except ValueError:  # it does not exist, and reading it gives the reason
        return False
    return sources.parquet.find_image_column(path) is not None


def table_columns(place, use_labels):
    """The names of the columns of paths and of labels; the latter None if absent or not used."""
    columns, _ = keras_isd.data.sources.csv_file.read_csv(place)
    # The tables that subcommands write have a column `name`.
    is_own = "name" in columns and "path" not in columns
    return "name" if is_own else "path", "label" if use_labels and "label" in columns else None


def parse_dataset(place):
    """Parses `hf:NAME/SPLIT` or `hf:PATH`: pair of the name or path, and the split or None."""
    text = os.path.expanduser(place.removeprefix("hf:"))
    if os.path.isdir(text):
        return text, None
    name, _, split = text.rpartition("/")
    # Names have the form OWNER/NAME, or NAME if they are old.
    if name and (os.path.isdir(name) or "/" in name or SPLIT.fullmatch(split)):
        return name, split
    return text, "train"


def _ending(place):
    """The ending of a place in lower case; that of a folder only if it is a store of Zarr."""
    ending = pathlib.Path(place).suffix.lower()
    return "" if ending != ".zarr" and os.path.isdir(place) else ending


def _read_table(place, use_labels, options):
    name_column, label = table_columns(place, use_labels)
    options["class_names"] = label and options["class_names"]
    return keras_isd.data.from_csv(place, path=name_column, label=label, **options)


def _read_arrays(place, use_labels):
    with np.load(place, allow_pickle=False) as arrays:
        if "images" not in arrays.files:
            raise ValueError(
                "The file must have an array `images` of shape (N, H, W, C). "
                f"Received: {place} with {arrays.files}"
            )
        labels = arrays["labels"] if use_labels and "labels" in arrays.files else None
        return keras_isd.data.from_arrays(arrays["images"], labels)


def _read_videos(place, group, channels, dtype, every):
    every = 1.0 if every is None else every
    source = keras_isd.data.from_video(place, every, channels=channels, dtype=dtype)
    distance = "all" if every == "frame" else f"every {every:g} s"
    print(f"{len(source):,} frames, {distance}, in {len(set(source.groups.tolist())):,} videos")
    if group is None:
        return source
    return source.with_groups(*keras_isd.data.groups.path_groups(source.names, group))


def _read_huggingface(place, use_labels, options):
    huggingface = keras_isd.data.sources.huggingface
    name, split = parse_dataset(place)
    image, label = huggingface.find_columns(huggingface.load_dataset(name, split))
    if image is None:
        raise ValueError(f"The data set must have a column of images. Received: {place}")
    label = label if use_labels else None
    return keras_isd.data.from_huggingface(name, image, label, split=split, **options)


def _read_shards(place, use_labels, options):
    return keras_isd.data.from_webdataset(place, "auto" if use_labels else None, **options)


def _read_parquet(place, use_labels, options):
    parquet, patterns = keras_isd.data.sources.parquet, keras_isd.data.sources.patterns
    path = patterns.expand_patterns("files", place)[0]
    image = parquet.find_image_column(path)
    if image is None:
        raise ValueError(
            "The table must have a column of image files; subcommands that take features read "
            f"tables of features. Received: {path}"
        )
    label = _first_label(parquet.list_columns(path), use_labels)
    return keras_isd.data.from_parquet(place, image, label, **options)


def _read_stored_arrays(place, use_labels, options):
    names = keras_isd.data.sources.stored_arrays.list_names(place)
    images = "images" if "images" in names else None
    read = keras_isd.data.from_zarr if _ending(place) == ".zarr" else keras_isd.data.from_hdf5
    return read(place, images, _first_label(names, use_labels), **options)


def _first_label(names, use_labels):
    return next((name for name in LABEL_COLUMNS if use_labels and name in names), None)


# By the ending of the place.
_READERS = {
    ".tar": _read_shards,
    ".parquet": _read_parquet,
    **dict.fromkeys((".h5", ".hdf5", ".zarr"), _read_stored_arrays),
}
