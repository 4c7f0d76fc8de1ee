"""Images and trained networks as arguments of subcommands."""

import json
import pathlib
import re

import numpy as np

import keras_isd
from keras_isd.command.places import PLACES, has_columns, is_video, read_place
from keras_isd.command.values import group, interval, natural_int, path, positive_int, share

# Folders of these names are no classes, unless they are asked for.
GROUP_NAME = re.compile(
    r"(plate|slide|batch|site|scan|scene|patient|subject|donor|mouse|day|date|run|well|field|exp|"
    r"experiment|series|session|camera|cam|tile|region|sample)?[ _-]?[0-9]+[a-z]?",
    re.IGNORECASE,
)
LABELS = ("auto", "folder", "none")
# Options of reading images; a run keeps them for later subcommands.
TILE_OPTIONS = ("tile", "stride", "keep", "level")
SLICE_OPTIONS = ("each", "project", "adjacent", "axes")
REMEMBERED = ("labels", "group", "every", "raw", "dtype", *TILE_OPTIONS, *SLICE_OPTIONS)
STATISTICS = ("imagenet", "cifar10")  # of keras_isd.augmentation, in upper case
VALUES = {
    "none": "pixels in [0, 255], which its first layers rescale",
    "imagenet": "pixels normalised by ImageNet's mean and standard deviation",
}


def add_image_arguments(parser, images_help=PLACES):
    """Adds the images and the options of reading them."""
    parser.add_argument("images", type=path, metavar="IMAGES", help=images_help)
    parser.add_argument(
        "--labels",
        choices=LABELS,
        help="classes by subfolder; labels are used for metrics only; as in the run, or auto",
    )
    add_reading_arguments(parser)


def add_reading_arguments(parser):
    """Adds the options of reading images that do not concern labels."""
    parser.add_argument(
        "--channels", type=positive_int, help="number of channels, if the files differ"
    )
    parser.add_argument(
        "--dtype",
        help="type to convert all images to, such as uint16, if the files differ; as in the run",
    )
    parser.add_argument(
        "--group",
        type=group,
        help='what images were taken with or in: a folder such as "plate*", the level of a folder, '
        "a column of a table, or none; as in the run if not given",
    )
    parser.add_argument("--follow_links", action="store_true", help="follow symbolic links")
    parser.add_argument(
        "--every",
        type=interval,
        help="distance of the frames of videos in seconds, or frame for all; as in the run, or 1",
    )
    parser.add_argument(
        "--raw", action="store_true", default=None, help="DICOM's values as they are stored"
    )
    stacks = parser.add_argument_group("stacks, cut into slices; as in the run if not given")
    add = stacks.add_argument
    add("--each", metavar="AXES", help="axes whose places are images, such as T, Z or TZ")
    add("--project", metavar="AXIS", help="axis whose maximum is taken, such as Z")
    add("--adjacent", type=natural_int, help="slices before and after that are channels; 0")
    add("--axes", help="axes of files that do not name them, such as TCYX")
    tiles = parser.add_argument_group("large images, cut into tiles; as in the run if not given")
    add = tiles.add_argument
    add("--tile", type=natural_int, help="side of a tile in pixels; 0 for whole images")
    add("--stride", type=positive_int, help="distance of neighbouring tiles; that of --tile")
    add("--keep", type=share, help="least share of foreground of a tile, 0 for all tiles; 0.25")
    add("--level", type=natural_int, help="level of pyramids, 0 for full resolution; 0")
    parser.add_argument("--data_dir", type=path, help="folder of TensorFlow Datasets")


def add_labelled_arguments(parser):
    """Adds labelled images, test images, and the seed that draws test images if none are given."""
    add_image_arguments(parser, "labelled images: a folder with a subfolder a class, or a .csv")
    parser.add_argument(
        "--test", type=path, metavar="IMAGES", help="labelled images to classify, same classes"
    )
    parser.add_argument("--seed", type=natural_int, default=0, help="random seed")


def read_images(place, arguments, class_names=None, with_labels=False):
    """The `ImageSource` of a place, cut into tiles or slices if they are asked for.

    Args:
        place: str, see `keras_isd.command.places.PLACES`.
        arguments: parsed arguments, with those of `add_image_arguments`.
        class_names: list of str, the classes of other images, in the order of their labels.
            Defaults to None.
        with_labels: bool, whether the images are to have labels, so that folders are classes
            whatever their names. Defaults to False.
    """
    remembered = remembered_reading(arguments)
    if with_labels and remembered.get("labels") == "none":
        del remembered["labels"]
    labels = arguments.labels or remembered.get("labels", "auto")
    options = _cutting_options(arguments, remembered)
    # The pages of stacks are read one by one, so that only they decide the number of channels.
    channels = 1 if options["each"] else arguments.channels or _run_channels(arguments)
    every = _every(place, arguments, remembered)
    # Other places, such as images to classify, need not have the groups.
    is_grouped = arguments.group != "none" and place == getattr(arguments, "images", None)
    group = arguments.group if is_grouped else None

    given = {"class_names": class_names, "labels": labels, "every": every}
    given |= {"raw": bool(arguments.raw or remembered.get("raw"))}
    given["dtype"] = arguments.dtype or remembered.get("dtype")
    given["is_cut"] = bool(options["each"] or options["tile"])

    def read(channels=channels, group=group):
        return read_place(place, arguments, channels=channels, group=group, **given)

    source = read()
    if channels is None and _keeps_one_channel(source, arguments):
        # Photographs in grey keep three channels, for networks that others trained.
        channels, source = 1, read(1)
    _check_dtype(source, place, arguments)
    if arguments.group is None and remembered.get("group", "none") != "none":
        group = remembered["group"]
        source = _with_remembered_groups(source, group, place, lambda: read(channels, group))
    is_chosen = labels == "auto" and not with_labels and pathlib.Path(place).is_dir()
    return _cut(_groups_by_name(source) if is_chosen else source, arguments, options)


def _cutting_options(arguments, remembered):
    """The options of tiles and slices, given or remembered: dict, None for those that are not."""
    found = {name: getattr(arguments, name) for name in (*TILE_OPTIONS, *SLICE_OPTIONS)}
    for first, *others in (TILE_OPTIONS, SLICE_OPTIONS):
        given = [name for name in others if found[name] is not None]
        if given and not (found[first] or remembered.get(first)):
            arguments.fail(f"--{given[0]} needs --{first}. Received: --{given[0]} without it")
    found = {n: remembered.get(n) if value is None else value for n, value in found.items()}
    if found["tile"] and found["each"]:
        arguments.fail("--tile and --each must not be given together. Received: both")
    return found


def _cut(source, arguments, options):
    """The tiles or slices of a source's images, if they are asked for, or its images."""
    size, each = options["tile"], options["each"]
    names = () if source.names is None else source.names[:1]
    sources = keras_isd.data.sources
    if any(map(sources.tiles.parse_name, names)) or any(map(sources.slices.parse_slice, names)):
        return source  # a table with names of tiles or slices
    if each:
        found = keras_isd.data.slices(
            source, each, options["project"], options["adjacent"] or 0, options["axes"]
        )
        print(f"{len(found):,} slices along {each} in {len(source):,} files")
        return found
    if not size:
        _mention_axes(source)
        return source
    given = {name: options[name] for name in TILE_OPTIONS[1:] if options[name] is not None}
    places = (getattr(arguments, name, None) for name in ("model", "output"))
    folder = next((pathlib.Path(p) for p in places if p and not pathlib.Path(p).suffix), None)
    cache = None if folder is None else folder / "foreground"
    found = keras_isd.data.tiles(source, size, cache=cache, **given)
    whole = "" if given.get("keep") == 0 else ", without background (see --keep)"
    print(f"{len(found):,} tiles of {size} px in {len(source):,} images{whole}")
    return found


def _mention_axes(source):
    """Prints that the times or depths of a stack are channels of one image."""
    try:
        lengths = source.open_parts(0).lengths
    except ValueError:  # its parts cannot be read by themselves
        return
    if axes := [axis for axis, length in lengths.items() if axis in "TZ" and length > 1]:
        found = ", ".join(f"{axis} ({length})" for axis, length in lengths.items())
        print(
            f"{source.names[0]} has the axes {found}, which are all channels of one image; "
            f"--each={axes[0]} would make an image of each {axes[0]}"
        )


def remembered_reading(arguments):
    """The options with which the run that a subcommand uses or resumes read its images: dict."""
    for folder in _run_folders(arguments):
        if (folder / "run.json").is_file():
            facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            return dict(facts.get("reading", {}))
    return {}


def _run_channels(arguments):
    """The channels of the run that a subcommand uses or resumes; None without one."""
    view = _run_view(arguments)
    return view and len(view["mean"])


def _run_view(arguments):
    """What `view.json` of the run that a subcommand uses or resumes has: dict; None without one."""
    for folder in _run_folders(arguments):
        if (folder / "view.json").is_file():
            return json.loads((folder / "view.json").read_text(encoding="utf-8"))
    return None


def _check_dtype(source, place, arguments):
    """Raises a ValueError if a run was trained on images of another data type.

    Its view would scale the pixels wrongly, so that all images look alike to the network.
    """
    view = _run_view(arguments) or {}
    expected = view.get("dtype")
    if expected is None and "value_range" in view:  # of a run that did not note the type
        is_of_8_bits = np.max(view["value_range"]) <= 255
        expected = "uint8" if is_of_8_bits else source.dtype
        if source.dtype == "uint8" and not is_of_8_bits:
            expected = "uint16"
    if expected not in (None, source.dtype):
        raise ValueError(
            f"Images must have the data type of the run's images, {expected}; "
            f"--dtype={expected} converts them, if that is right for their values. "
            f"Received: {source.dtype} in {place}"
        )


def _run_folders(arguments):
    # A new run reads images as the one that it starts from.
    places = (getattr(arguments, name, None) for name in ("model", "output", "start"))
    return [pathlib.Path(place) for place in places if place]


def _every(place, arguments, remembered):
    """The distance of the frames of videos, given or remembered; or None."""
    if arguments.every is not None and not is_video(place, arguments.every):
        arguments.fail(f"--every needs videos. Received: {place}")
    return remembered.get("every") if arguments.every is None else arguments.every


def _with_remembered_groups(source, group, place, read):
    """The source with the groups of a run; without them if it has no such folder or column.

    `read` is a function that reads the place with the groups, if they are a column.
    """
    groups, found = keras_isd.data.groups, None
    try:
        if has_columns(place) and not isinstance(group, int):
            grouped = read()
            found = grouped.groups, grouped.group_names
        elif source.names is not None and not has_columns(place):
            found = groups.path_groups(source.names, group)
    except ValueError:
        found = None
    if found is None or groups.same_parts(found[0], source.labels):
        print(f"The run's --group={group} does not fit {place}, and is not used")
        return source
    return source.with_groups(*found)


def _keeps_one_channel(source, arguments):
    """Whether images of more than 8 bits have one channel that need not be repeated."""
    model = getattr(arguments, "model", None) or getattr(arguments, "teacher", None) or ""
    takes_color = model and not pathlib.Path(model).is_dir()  # a network that others trained
    return bool(source.is_grey and source.dtype != "uint8" and not takes_color)


def _groups_by_name(source):
    """The source, with groups instead of classes if its folders are named like groups."""
    names = source.class_names
    if not _are_groups(names):
        return source
    print(
        f"The folders {', '.join(names[:2])}{', ...' * (len(names) > 2)} are groups by their "
        "names, not classes; --labels=folder makes them classes"
    )
    grouped = source if source.groups is not None else source.with_groups(source.labels, names)
    return grouped.without_labels()


def _are_groups(names):
    """Whether the names of folders are those of plates, slides, patients or days."""
    if not names or len(names) < 2 or all(map(str.isdigit, names)):
        return False
    return all(map(GROUP_NAME.fullmatch, names))


def split_labelled(arguments):
    """Sources of labelled images to learn from and to classify.

    Without `--test` a fifth of each class is drawn for the second.
    """
    source = read_labelled(arguments.images, arguments)
    if arguments.test:
        return source, read_labelled(arguments.test, arguments, source.class_names, classes=1)
    return split_by_class(source, arguments.seed)


def read_labelled(place, arguments, class_names=None, classes=2):
    """The labelled images of a place, with at least so many classes; see `read_images`."""
    source = _with_labels(read_images(place, arguments, class_names, True), place)
    found = len(np.unique(source.labels))
    if found < classes:
        raise ValueError(
            f"Images must have at least two classes. Received: one class in {place}, "
            f"{len(source)} images"
        )
    return source


def split_by_class(source, seed):
    """Sources of four fifths of each class, and of the fifth to classify; whole groups if any."""
    if source.groups is not None:
        for train, test in keras_isd.evaluation.make_folds(source.labels, source.groups, 5, seed):
            if np.isin(source.labels[test], source.labels[train]).all():
                return source.subset(train), source.subset(test)
        raise ValueError(
            "--group must leave every class in several groups, so that one group can be classified "
            "by others. Received: a class in one group alone, whichever groups are classified"
        )
    test = keras_isd.training.report.fifth_of_each_class(source.labels, seed)
    if not len(test):
        raise ValueError(
            "Without --test one class must have at least five images, to classify a fifth of them. "
            f"Received: at most {np.bincount(source.labels).max()} images a class"
        )
    return source.subset(np.setdiff1d(np.arange(len(source)), test)), source.subset(test)


def add_model_arguments(parser, required=True):
    """Adds the trained network: a run, or a file with the view that it takes."""
    parser.add_argument(
        "--model",
        type=path,
        required=required,
        help="folder of a run, or a .keras file with --size",
    )
    parser.add_argument("--size", type=positive_int, help="side of the images that a file takes")
    parser.add_argument(
        "--statistics",
        choices=(*STATISTICS, "none"),
        help="normalisation of the images that a file takes; none if its first layers rescale "
        "them, else imagenet",
    )


def load_model(arguments):
    """The model of `--model`, and the `Augmenter` from images to its input."""
    place = pathlib.Path(arguments.model)
    if place.is_dir():
        return keras_isd.training.load_run(place)
    if not place.is_file():
        raise ValueError(f"--model must be an existing folder or file. Received: {place}")
    if arguments.size is None:
        arguments.fail("--size must be given with a .keras file. Received: None")
    import keras

    augmentation, model = keras_isd.augmentation, keras.models.load_model(place)
    name = arguments.statistics
    if name is None:
        name = "none" if keras_isd.training.teachers.takes_pixels(model) else "imagenet"
        print(f"{place} gets {VALUES[name]} (--statistics={name})")
    if name == "none":
        return model, augmentation.Augmenter([augmentation.CentralCrop(arguments.size)])
    statistics = getattr(augmentation, name.upper())
    return model, augmentation.evaluation(arguments.size, statistics)


def _with_labels(source, place):
    """The labelled images of a source; prints how many are left out."""
    if source.labels is None or source.labels.max() < 0:
        raise ValueError(
            "Images must have labels: a subfolder for each class, or a table with a filled-in "
            f"column `label`. Received: {place}, {len(source)} images without a label"
        )
    rows = np.flatnonzero(source.labels >= 0)
    if len(rows) < len(source):
        print(f"{len(source) - len(rows):,} images of {place} have no label and are left out")
    return source.subset(rows)
