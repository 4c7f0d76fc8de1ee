"""The report of a run: its verdict, its tables and curves, and a map of some of its images."""

import datetime
import functools
import os

import keras
import numpy as np
from absl import logging

from keras_isd.callbacks import run_facts
from keras_isd.data import ViewBatches
from keras_isd.data.batches.view_batches import readable_views
from keras_isd.data.groups import folder_levels, same_parts
from keras_isd.evaluation import (
    effective_rank,
    extract_features,
    group_effect,
    knn_accuracies,
    knn_predict,
    simple_features,
)
from keras_isd.evaluation.health import views_found
from keras_isd.evaluation.uncertainty import format_share
from keras_isd.exploration import (
    cluster_features,
    find_duplicates,
    find_local_outliers,
    write_explorer,
)
from keras_isd.exploration.local_outliers import MIN_IMAGES
from keras_isd.training.progress import PROGRESS
from keras_isd.training.verdict import verdict
from keras_isd.visualization import plot_history, plot_scenes, read_csv_log

MAX_IMAGES = 2000  # on the map
MAX_CLASSES = 30  # in a table, the largest ones
BASELINE_PIXELS = 16  # side of the images whose pixels are the features of a baseline


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
    hits, kind, tables = _measure(run, part)
    effects = group_effects(part, found.features)
    normalize = run.settings.normalize
    summary = verdict(metrics, hits, kind, _is_held_out(run), effects, normalize)
    for line in summary:
        run.log_fn(line)
    try:
        clusters = cluster_features(found.features, seed=run.seed)
        write_explorer(
            path,
            found.features,
            part,
            _without_common_folder(part.names),
            clusters=clusters,
            duplicates=[rows.tolist() for rows in find_duplicates(found.features)],
            facts=_facts(run, count),
            tables={**tables, **_settings_and_metrics(run.settings, metrics)},
            figures=_figures(run, part, metrics, clusters),
            title=f"{run.settings.method}, {len(run.source):,} images",
            summary=" ".join(summary),
            seed=run.seed,
        )
    except ImportError as error:
        logging.warning("No report: %s", error)
        return None
    return path


def group_effects(source, features):
    """How well neighbours show the group of an image, by the source's groups or by its folders.

    Folders that are the classes are left out: there it is the aim.

    Returns:
        List of pairs of a description and the result of `group_effect`.
    """
    ways = {}
    if source.groups is not None:
        ways["group"] = source.groups
    elif source.names is not None:
        for numbers, names in folder_levels(source.names).values():
            examples = ", ".join(names[:2]) + ", ..." * (len(names) > 2)
            ways[f"folder ({examples})"] = numbers
    return [
        (name, group_effect(features, groups))
        for name, groups in ways.items()
        if len(np.unique(groups)) > 1 and not same_parts(groups, source.labels)
    ]


def baseline_networks(model):
    """The student and its baselines: functions from views `(N, H, W, C)` to features.

    Args:
        model: trained model with a `student_backbone`, or any `keras.Model` from views to features.

    Returns:
        Dict from `"pixels"`, the kinds of `simple_features`, `"untrained"` and `"student"`.
    """
    student = getattr(model, "student_backbone", model)
    untrained = keras.models.clone_model(student)
    simple = {
        kind: functools.partial(lambda views, kind: simple_features(views, [kind])[kind], kind=kind)
        for kind in ("spectrum", "gradients", "colors")
    }
    return {
        "pixels": _pixels,
        **simple,
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


def _figures(run, part, metrics, clusters):
    """The curves of the run; heat maps of products; and large images with clusters of tiles."""
    figures = {"Metrics by epoch": plot_history(metrics)}
    if part.large_images is not None:
        figures["Large images: clusters of tiles"] = plot_scenes(part, clusters)
    if run.settings.domain == "industry" and len(part) >= MIN_IMAGES:
        outliers = find_local_outliers(part, seed=run.seed, verbose=0)
        figures["Unusual places, see keras-isd outliers --kind=local"] = outliers.plot(part)
    return figures


def _is_held_out(run):
    """Whether the images that are measured on were not trained on, as far as is known."""
    if run.start is not None:  # it held out others of these images
        return False
    return run.teacher_features is None and run.held_out is not run.others


def _measure(run, part):
    """Hits by network (see `verdict`), their kind, and tables, with labels of accuracy."""
    keras.utils.set_random_seed(run.seed)  # fixes the untrained network
    networks = baseline_networks(run.model)
    hits, kind, tables = None, "views", {}
    views = run.held_out_views()
    if views is not None:
        hits, tables["Features without labels"] = _compare_networks(networks, *views)
    if part.labels is not None and part.labels.max() >= 0:
        labelled = np.flatnonzero(part.labels >= 0)
        views, rows = readable_views(part.subset(labelled), run.view)
        labels = part.labels[labelled][rows]
        found = accuracy_tables(networks, views, labels, part.class_names, run.seed)
        if found is not None:
            hits, kind = found[0], "labels"
            tables["Accuracy (labels were not used in training)"] = found[1]
            tables["Accuracy by class"] = found[2]
    return hits, kind, tables


def _compare_networks(networks, first, second):
    """Found views by network, and the rows of a table, from two views of the same images."""
    features = {name: (network(first), network(second)) for name, network in networks.items()}
    hits = {name: views_found(*pair) for name, pair in features.items()}
    # The features without a network spread over directions that do not depend on the content.
    ranks = [
        f"{effective_rank(pair[0]):.0f}" if name in ("untrained", "student") else ""
        for name, pair in features.items()
    ]
    shares = [format_share(found.mean(), len(found)) for found in hits.values()]
    return hits, [
        ["", "chance", *hits],
        [f"view_retrieval, {len(first):,} images", _percent(1 / len(first)), *shares],
        ["feature_rank: directions that features spread over", "", *ranks],
    ]


def accuracy_tables(networks, views, labels, class_names, seed):
    """Hits by network, and two tables with 95 % intervals: accuracies, and the largest classes.

    A fifth of each class is classified by the other images. None if no class has five images, or
    there is only one class.
    """
    test = fifth_of_each_class(labels, seed)
    if not len(test) or len(np.unique(labels)) < 2:
        return None
    train = np.setdiff1d(np.arange(len(labels)), test)
    found, hits = {}, {}
    for name, network in networks.items():
        features = network(views)
        sets = features[train], labels[train], features[test], labels[test]
        found[name] = knn_accuracies(*sets)
        ranked = knn_predict(*sets[:3], k=min(20, len(train)))
        hits[name] = ranked[:, 0] == labels[test]
    numbers, counts = np.unique(labels[test], return_counts=True)
    accuracies = [["", "largest class", *networks]]
    for row in found["student"]:
        values = (format_share(columns[row]["top1"], len(test)) for columns in found.values())
        accuracies.append([row, _percent(counts.max() / len(test)), *values])
    largest = np.sort(np.argsort(-counts, kind="stable")[:MAX_CLASSES])
    by_class = [["class", "images classified", "20-NN"]]
    for number, count in zip(numbers[largest], counts[largest]):
        name = class_names[number] if class_names else str(number)
        accuracy = found["student"]["20-NN"]["per_class"][int(number)]
        by_class.append([name, str(count), format_share(accuracy, int(count))])
    return hits, accuracies, by_class


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
