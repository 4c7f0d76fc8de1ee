"""Learns features from images, without labels.

    keras-isd train IMAGES --output=RUN
    keras-isd train IMAGES --output=RUN --minutes=60          # as many epochs as fit into an hour
    keras-isd train IMAGES --output=RUN --method=moco --epochs=200
    keras-isd train IMAGES --output=RUN --teacher=EfficientNetV2B0   # distillation
    keras-isd train IMAGES --output=RUN --domain=pathology    # views for stained tissue
    keras-isd train IMAGES --output=RUN2 --start=RUN          # after the folder has grown
    keras-isd train tfds:cifar10/train --output=RUN
    keras-isd train hf:OWNER/NAME/train --output=RUN          # a data set of Hugging Face
    keras-isd train films --every=1 --output=RUN              # frames of videos, one a second

IMAGES is a folder with images at any depth, a table .csv with a column path (or name), arrays
`images` in an .npz, .h5 or .zarr, shards such as "train-*.tar", Parquet tables with a column of
image files, a data set of Hugging Face (hf:) or TensorFlow Datasets (tfds:), or videos. Settings
that are not given are chosen, and the reason for each is printed. Run the same command again to
resume an interrupted run. RUN holds settings and versions (run.json), metrics (metrics.csv, and
logs for TensorBoard if it is installed), checkpoints, and at the end the model (model.keras) and a
report (report.html). A finished run cannot be made longer, because its learning rate has fallen to
0: `--start` begins another one with its weights and a new schedule.
"""

import json
import math
import pathlib

import keras_isd
from keras_isd.command.images import (
    REMEMBERED,
    add_image_arguments,
    read_images,
    remembered_reading,
)
from keras_isd.command.values import natural_int, path, positive_float, positive_int, share

METHODS = ("isd", "moco", "byol", "msf")
NETWORKS = ("convnet", "resnet18", "resnet50")
DOMAINS = ("photo", "microscopy", "pathology", "satellite", "industry")
NORMALIZATIONS = ("none", "image", "background")
SETTINGS = (
    "method",
    "size",
    "stored_size",
    "network",
    "batch_size",
    "queue_size",
    "query_views",
    "small_views",
    "domain",
    "normalize",
    "epochs",
    "learning_rate",
)


# Settings that a run takes over from the one that it starts from.
INHERITED = ("method", "size", "network", "queue_size", "domain", "normalize")


def add_arguments(parser):
    add_image_arguments(parser)
    add = parser.add_argument
    add("--output", type=path, required=True, help="run folder; an existing run is resumed")
    add("--minutes", type=positive_float, help="time limit; no limit if not given")
    add("--start", type=path, help="finished run to start from, with a new schedule")
    add("--seed", type=natural_int, default=0, help="fixes weights, order and views")
    add("--max_unreadable", type=share, default=0.5, help="share of unreadable images to accept")
    add("--plot_views", action="store_true", help="draw views of some images, RUN/views.jpg")
    add("--teacher", help="frozen teacher: keras.applications, keras-hub preset, or .keras file")
    add("--teacher_size", type=positive_int, default=224, help="side of the teacher's images")
    add("--teacher_features", type=path, help="features of a teacher, .npy, a row an image")
    settings = parser.add_argument_group("settings, chosen if not given")
    add = settings.add_argument
    add("--method", choices=METHODS, help="method of a run without a teacher")
    add("--domain", choices=DOMAINS, help="kind of the images, which decides their views")
    add("--normalize", choices=NORMALIZATIONS, help="normalisation of each image by itself")
    add("--size", type=positive_int, help="side of the network's images in pixels")
    add("--stored_size", type=natural_int, help="shorter side of smaller copies; 0 for no copies")
    add("--network", choices=NETWORKS, help="network to train")
    add("--batch_size", type=positive_int, help="images a step")
    add("--queue_size", type=positive_int, help="anchors in the queue")
    add("--query_views", type=positive_int, help="student views an image")
    add("--small_views", type=natural_int, help="further student views an image, of half the side")
    add("--epochs", type=positive_int, help="passes over the images")
    add("--learning_rate", type=positive_float, help="initial learning rate")


def run(arguments):
    _check(arguments)
    source = read_images(arguments.images, arguments)
    chosen = {name: getattr(arguments, name) for name in SETTINGS}
    chosen |= _settings_of_old_run(arguments.output, chosen)
    teacher = arguments.teacher or arguments.teacher_features
    if teacher:
        chosen["method"] = "distillation"
    inherited = _settings_of_start(arguments, chosen)
    settings = keras_isd.training.choose_settings(source, **chosen | inherited)
    settings.reasons.update(dict.fromkeys(inherited, f"as in {arguments.start}"))
    if arguments.start:
        new = keras_isd.training.run_folder.count_new_images(arguments.start, source)
        if new is not None:
            print(f"{new:,} images are new since {arguments.start}")
    print(*describe(source, settings), sep="\n", flush=True)
    trained = keras_isd.training.Run(
        arguments.output,
        source,
        settings,
        arguments.seed,
        math.inf if arguments.minutes is None else arguments.minutes,
        teacher,
        arguments.teacher_size,
        log_fn=lambda line: print(line, flush=True),
        reading=_reading(arguments),
        plot_views=arguments.plot_views,
        start=arguments.start,
        started=arguments.started,
        max_unreadable=arguments.max_unreadable,
    )
    trained.train()
    if report := trained.write_report():
        print(f"report: {report}, to open in a browser")
    print(
        f"saved {arguments.output}/model.keras; "
        f"next: keras-isd embed IMAGES --model={arguments.output}"
    )


def _check_epochs(arguments):
    """Raises a ValueError that names the way to train a finished run for longer."""
    output = pathlib.Path(arguments.output)
    if not (output / "model.keras").is_file() or not arguments.epochs:
        return
    facts = json.loads((output / "run.json").read_text(encoding="utf-8"))
    epochs = facts["settings"]["epochs"]
    if arguments.epochs > epochs:
        raise ValueError(
            f"--epochs must be {epochs} for this finished run, whose learning rate has fallen to "
            f"0. Train for longer in a new phase: --start={output} --output={output}-2 "
            f"--epochs={arguments.epochs - epochs}. Received: --epochs={arguments.epochs}"
        )


def _reading(arguments):
    """The options of reading images, which later subcommands take from the run."""
    given = {name: getattr(arguments, name) for name in REMEMBERED}
    given = {name: value for name, value in given.items() if value is not None}
    return remembered_reading(arguments) | given


def _settings_of_old_run(folder, chosen):
    """The domain and normalisation of a run that was begun before there was a choice."""
    file = pathlib.Path(folder, "run.json")
    if not file.is_file():
        return {}
    settings = json.loads(file.read_text(encoding="utf-8")).get("settings", {})
    defaults = {"domain": "photo", "normalize": "none"}
    return {
        name: default
        for name, default in defaults.items()
        if name not in settings and chosen[name] is None
    }


def _settings_of_start(arguments, chosen):
    """The settings that a run takes over from the one that it starts from."""
    if not arguments.start:
        return {}
    keras_isd.training.run_folder.check_finished(arguments.start)
    facts = json.loads(pathlib.Path(arguments.start, "run.json").read_text(encoding="utf-8"))
    found = {"domain": "photo", "normalize": "none", **facts["settings"]}
    names = [name for name in INHERITED if chosen.get(name) is None]
    if found["method"] == "distillation":  # whose teacher has to be given again
        names.remove("method")
    return {name: found[name] for name in names}


def describe(source, settings):
    """Yields lines on the images and on each setting with its reason."""
    yield f"{len(source):,} images, {source.channels} channels, {source.dtype}"
    values = {"domain": settings.domain, "normalize": settings.normalize, **settings.values()}
    for name, value in values.items():
        yield f"  {f'--{name}={value}':<21} {settings.reasons.get(name, '')}"


def _check(arguments):
    if arguments.teacher and arguments.teacher_features:
        arguments.fail("Give --teacher or --teacher_features, not both. Received: both")
    has_teacher = bool(arguments.teacher or arguments.teacher_features)
    if has_teacher and arguments.method:
        arguments.fail(
            "--method must not be given with a teacher. Received: "
            f"--method={arguments.method} and a teacher"
        )
    _check_epochs(arguments)
    folder, output = (pathlib.Path(p).resolve() for p in (arguments.images, arguments.output))
    if folder.is_dir() and output.is_relative_to(folder):
        raise ValueError(
            "--output must not lie in the folder of images, where its files would be read as "
            f"images. Received: --output={arguments.output}, in {arguments.images}"
        )
