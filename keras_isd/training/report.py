"""The report of a run: its verdict, its tables and curves, and a map of some of its images."""

import datetime
import os

import keras
import numpy as np
from absl import logging

from keras_isd.callbacks import run_facts
from keras_isd.data import ViewBatches
from keras_isd.data.batches.view_batches import readable_views
from keras_isd.evaluation import effective_rank, extract_features, knn_accuracies, view_retrieval
from keras_isd.exploration import cluster_features, find_duplicates, write_explorer
from keras_isd.training.progress import PROGRESS
from keras_isd.visualization import plot_history, read_csv_log

MAX_IMAGES = 2000  # on the map
MAX_CLASSES = 30  # in a table, the largest ones
BASELINE_PIXELS = 16  # side of the images whose pixels are the features of a baseline
EASY = 0.9  # view retrieval of an untrained network from which on it shows nothing


def write_report(run):
    """Writes `report.html` into the folder of a trained `Run`.

    The page has a map of up to 2,000 images, clusters as rows, possible duplicates side by side,
    the curves of the run, and tables that compare the student with pixels, an untrained network and
    chance.

    Returns:
        The path of the page, or None if a package of the extra `[explore]` is not installed, which
        is logged.
    """
    count = min(MAX_IMAGES, len(run.images))
    rows = np.random.RandomState(run.seed).permutation(len(run.images))[:count]
    part = run.images.subset(np.sort(rows))
    found = extract_features(run.model, ViewBatches(part, None, run.view, 100), verbose=0)
    part = part.subset(found.indices)  # those that could be read
    metrics = read_csv_log(run.folder / "metrics.csv")
    path = run.folder / "report.html"
    try:
        clusters = cluster_features(found.features, seed=run.seed)
        retrieval, tables = _measure(run, part)
        write_explorer(
            path,
            found.features,
            part,
            _without_common_folder(part.names),
            clusters=clusters,
            duplicates=[rows.tolist() for rows in find_duplicates(found.features)],
            facts=_facts(run, count),
            tables={**tables, **_settings_and_metrics(run.settings, metrics)},
            figures={"Metrics by epoch": plot_history(metrics)},
            title=f"{run.settings.method}, {len(run.source):,} images",
            summary=verdict(metrics, retrieval, _is_held_out(run)),
            seed=run.seed,
        )
    except ImportError as error:
        logging.warning("No report: %s", error)
        return None
    return path


def baseline_networks(model):
    """The student and its baselines: functions from views `(N, H, W, C)` to features.

    Args:
        model: trained model with a `student_backbone`, or any `keras.Model` from views to features.

    Returns:
        Dict from `"pixels"`, `"untrained"` and `"student"`.
    """
    student = getattr(model, "student_backbone", model)
    untrained = keras.models.clone_model(student)
    return {
        "pixels": _pixels,
        "untrained": lambda views: untrained.predict(views, verbose=0),
        "student": lambda views: student.predict(views, verbose=0),
    }


def fifth_of_each_class(labels, seed):
    """Rows of a fifth of each class, rounded down, drawn at random: those to classify."""
    order = np.random.RandomState(seed).permutation(len(labels))
    chosen = []
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        chosen.append(rows[: len(rows) // 5])
    return np.sort(np.concatenate(chosen))


def verdict(metrics, retrieval, is_held_out):
    """One or two sentences on whether the network learned; None without `retrieval`.

    Args:
        metrics: dict of lists, the metrics by epoch.
        retrieval: dict of view retrieval by network, see `_compare_networks`, or None.
        is_held_out: bool, whether the images were held out from training.
    """
    if metrics.get("collapsed", [0])[-1]:
        return (
            "The run has collapsed: the network maps all images to nearly the same features. "
            "A lower learning rate usually helps."
        )
    if retrieval is None:
        return None
    images = "held-out images" if is_held_out else "images"
    numbers = (
        f"View retrieval: {retrieval['student']:.1%} of {images} find their other view first "
        f"(untrained network {retrieval['untrained']:.1%}, pixels {retrieval['pixels']:.1%}, "
        f"chance {retrieval['chance']:.1%})."
    )
    if retrieval["student"] > retrieval["untrained"]:
        return f"The network has learned something. {numbers}"
    if retrieval["untrained"] >= EASY:
        return f"This data set is too easy for view retrieval to be informative. {numbers}"
    return f"The network has learned little. {numbers} Longer training or more images usually help."


def _is_held_out(run):
    """Whether the images that are measured on were not trained on."""
    return run.teacher_features is None and run.held_out is not run.others


def _measure(run, part):
    """View retrieval by network (None for too few images), and tables, with labels of accuracy."""
    keras.utils.set_random_seed(run.seed)  # fixes the untrained network
    networks = baseline_networks(run.model)
    retrieval, tables = None, {}
    views = run.held_out_views()
    if views is not None:
        retrieval, tables["Features without labels"] = _compare_networks(networks, *views)
    if part.labels is not None and part.labels.max() >= 0:
        labelled = np.flatnonzero(part.labels >= 0)
        views, rows = readable_views(part.subset(labelled), run.view)
        labels = part.labels[labelled][rows]
        found = accuracy_tables(networks, views, labels, part.class_names, run.seed)
        if found is not None:
            tables["Accuracy (labels were not used in training)"] = found[0]
            tables["Accuracy by class"] = found[1]
    return retrieval, tables


def _compare_networks(networks, first, second):
    """View retrieval by network, and the rows of a table, from two views of the same images."""
    features = {name: (network(first), network(second)) for name, network in networks.items()}
    retrieval = {name: view_retrieval(*pair) for name, pair in features.items()}
    retrieval = {"chance": 1 / len(first), **retrieval}
    # Pixels spread over many directions that do not depend on the content.
    ranks = [
        "" if name == "pixels" else f"{effective_rank(pair[0]):.0f}"
        for name, pair in features.items()
    ]
    return retrieval, [
        ["", *retrieval],
        [f"view_retrieval, {len(first):,} images", *map(_percent, retrieval.values())],
        ["feature_rank: directions that features spread over", "", *ranks],
    ]


def accuracy_tables(networks, views, labels, class_names, seed):
    """Rows of two tables: accuracies by network, and the student's in the largest classes.

    A fifth of each class is classified by the other images. None if no class has five images.
    """
    test = fifth_of_each_class(labels, seed)
    if not len(test):
        return None
    train = np.setdiff1d(np.arange(len(labels)), test)
    found = {}
    for name, network in networks.items():
        features = network(views)
        found[name] = knn_accuracies(features[train], labels[train], features[test], labels[test])
    numbers, counts = np.unique(labels[test], return_counts=True)
    accuracies = [["", "largest class", *networks]]
    for row in found["student"]:
        values = (columns[row]["top1"] for columns in found.values())
        accuracies.append([row, *map(_percent, (counts.max() / len(test), *values))])
    largest = np.sort(np.argsort(-counts, kind="stable")[:MAX_CLASSES])
    by_class = [["class", "images classified", "20-NN"]]
    for number, count in zip(numbers[largest], counts[largest]):
        name = class_names[number] if class_names else str(number)
        accuracy = found["student"]["20-NN"]["per_class"][int(number)]
        by_class.append([name, str(count), _percent(accuracy)])
    return accuracies, by_class


def _pixels(views):
    side = min(BASELINE_PIXELS, views.shape[1])
    small = keras.ops.image.resize(views, (side, side), antialias=True, data_format="channels_last")
    return keras.ops.convert_to_numpy(small).reshape(len(views), -1)


def _settings_and_metrics(settings, metrics):
    """Tables of the settings with their reasons, and of the last value of each metric."""
    reasons = settings.reasons
    chosen = [[name, str(x), reasons.get(name, "")] for name, x in settings.values().items()]
    last = [[name, metrics[name][-1]] for name in PROGRESS if metrics.get(name)]
    return {
        "Settings": [["", "value", "reason"], *chosen],
        "Last metrics": [["", "value"], *last],
    }


def _without_common_folder(names):
    """Names without the folder that all of them are in."""
    if names is None:
        return None
    begin = os.path.commonprefix(names).rfind("/") + 1  # noqa: RUF071, by characters
    return [name[begin:] for name in names]


def _facts(run, count):
    versions = run_facts()["versions"]
    return {
        "images": f"{len(run.source):,}; {count:,} are on the map",
        "seed": run.seed,
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "date": datetime.date.today().isoformat(),
    }


def _percent(value):
    return f"{value:.1%}"
