"""The page of a run: what was made, how it went, and a map of some of its images."""

import datetime
import json
import os
import pathlib

import keras
import numpy as np
from absl import logging

from keras_isd.data import ViewBatches
from keras_isd.data.batches.view_batches import readable_views
from keras_isd.evaluation import extract_features
from keras_isd.exploration import cluster_features, find_duplicates, write_explorer
from keras_isd.training.comparison import compare_without_labels, networks_beside, tables_by_labels
from keras_isd.training.progress import PROGRESS
from keras_isd.training.run_files import read_statistics
from keras_isd.training.watched_images import two_views, watched_parts
from keras_isd.visualization import plot_history, read_csv_log

IMAGES = 2000  # on the map, at most
EASY = 0.9  # of the images, whose other view an untrained network finds


def write_run_report(folder, source, model, view, settings, seed=0):
    """Writes `report.html` into the folder of a run, a page to look at and to send to others.

    A map of images, clusters as rows, duplicates side by side, the course of the run, and tables of
    what the network has learned beside pixels, an untrained network and chance.

    Args:
        folder: path that `train_on_images` wrote to.
        source: `keras_isd.data.ImageSource`, of which up to 2,000 images are drawn, by `seed`.
        model: the trained model.
        view: `keras_isd.augmentation.Augmenter`, see `load_run`.
        settings: `TrainingSettings`, for the reasons; the values are those that were trained with.
        seed: int.

    Returns:
        The path of the page, or None where matplotlib, scikit-learn or Bokeh is not installed,
        which is then said (extra `[plots]`).
    """
    folder = pathlib.Path(folder).expanduser()
    facts = json.loads((folder / "run.json").read_text())
    if stored_size := facts["settings"]["stored_size"]:  # as the run read them
        source = source.resized(stored_size, folder / "resized", verbose=0)
    count = min(IMAGES, len(source))
    part = source.subset(np.sort(np.random.RandomState(seed).permutation(len(source))[:count]))
    found = extract_features(model, ViewBatches(part, None, view, 100), verbose=0)
    part = part.subset(found.indices)  # those that could be read
    _, watched, others = watched_parts(source, facts["seed"], None)
    held_out = facts["teacher"] is None and watched is not others
    metrics = read_csv_log(folder / "metrics.csv")
    try:
        clusters = cluster_features(found.features, seed=seed)
        nearest, learned = _what_it_has_learned(
            model, watched, part, view, settings, folder, facts["seed"]
        )
        write_explorer(
            folder / "report.html",
            found.features,
            part,
            _without_folder(part.names),
            clusters=clusters,
            duplicates=[rows.tolist() for rows in find_duplicates(found.features)],
            facts=_about(facts, source, count),
            tables={**learned, **_course(facts, settings, metrics)},
            figures={"The course of the run": plot_history(metrics)},
            title=f"{settings.method}, {len(source):,} images",
            summary=_verdict(metrics, nearest, held_out),
            seed=seed,
        )
    except ImportError as error:
        logging.warning("No report: %s", error)
        return None
    return folder / "report.html"


def _what_it_has_learned(model, watched, part, view, settings, folder, seed):
    """Shares as of `compare_without_labels`, None of too few images, and tables; also by labels."""
    keras.utils.set_random_seed(seed)  # of the untrained network
    networks = networks_beside(model)
    nearest, tables = None, {}
    views = two_views(watched, settings, read_statistics(folder)[1], seed)
    if views is not None:
        nearest, table = compare_without_labels(networks, *views)
        tables["What it has learned"] = table
    if part.labels is not None and part.labels.max() >= 0:
        views, rows = readable_views(part.subset(np.flatnonzero(part.labels >= 0)), view)
        labels = part.labels[part.labels >= 0][rows]
        found = tables_by_labels(networks, views, labels, part.class_names, seed)
        if found is not None:
            tables["By labels, which were not learned from"], tables["Class by class"] = found
    return nearest, tables


def _verdict(metrics, nearest, held_out):
    """What the network has learned, in a sentence or two."""
    if metrics.get("collapsed", [0])[-1]:
        return (
            "The run has collapsed: to the network all images are nearly the same, and its "
            "features are worth little. What usually helps is a lower learning rate."
        )
    if nearest is None:
        return None
    which = "images that were not learned from" if held_out else "some of the images"
    seen = (
        f"The second view of an image is the nearest of all to its first in "
        f"{nearest['student']:.1%} of {which}. To an untrained network it is in "
        f"{nearest['untrained']:.1%}, by the pixels in {nearest['pixels']:.1%}, and by chance in "
        f"{nearest['chance']:.1%}."
    )
    if nearest["student"] > nearest["untrained"]:
        return f"The network has learned something. {seen}"
    if nearest["untrained"] >= EASY:
        return f"The images are too different to tell by this what was learned. {seen}"
    return (
        f"The network has learned little. {seen} What usually helps is to train longer, or more "
        "images."
    )


def _course(facts, settings, metrics):
    """Tables of the settings, and of what the lines of progress tell, at the end."""
    reasons = settings.reasons
    chosen = [[name, str(x), reasons.get(name, "")] for name, x in facts["settings"].items()]
    last = [[title, metrics[name][-1]] for name, title in PROGRESS.items() if metrics.get(name)]
    return {
        "Settings": [["", "value", "why"], *chosen],
        "At the end": [["", "value"], *last],
    }


def _without_folder(names):
    """Names without the folder that all of them are in."""
    if names is None:
        return None
    begin = os.path.commonprefix(names).rfind("/") + 1  # noqa: RUF071, of letters
    return [name[begin:] for name in names]


def _about(facts, source, count):
    return {
        "images": f"{len(source):,}, of which {count:,} are on the map",
        "seed": facts["seed"],
        "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
        "date": datetime.date.today().isoformat(),
    }
