"""Compares two runs: their settings, their last metrics, and their neighbours.

    keras-isd compare RUN OTHER
    keras-isd compare RUN OTHER --images=IMAGES

Settings are printed if they differ. With `--images` the nearest images of up to 2,000 of them are
found by both networks, and the share on which they agree is printed, next to that by chance.
"""

import json
import pathlib

import numpy as np

import keras_isd
from keras_isd.command.images import add_reading_arguments, read_images
from keras_isd.command.values import path, positive_int

MAX_IMAGES = 2000


def add_arguments(parser):
    add = parser.add_argument
    add("model", type=path, metavar="RUN", help="folder of a finished run")
    add("other", type=path, metavar="OTHER", help="folder of another finished run")
    add("--images", type=path, help="images whose neighbours are compared")
    add("--k", type=positive_int, default=10, help="neighbours of each image")
    parser.set_defaults(labels=None)
    add_reading_arguments(parser)


def run(arguments):
    folders = [arguments.model, arguments.other]
    for folder in folders:
        keras_isd.training.run_folder.check_finished(folder)
    source = None
    if arguments.images is not None:  # before anything is printed
        source = read_images(arguments.images, arguments)
    facts = [json.loads(pathlib.Path(f, "run.json").read_text(encoding="utf-8")) for f in folders]
    _print_table("settings that differ", folders, _different_settings(*facts))
    _print_table("metrics of the last epoch", folders, _last_metrics(folders))
    if source is not None:
        _print_agreement(arguments, source)


def _different_settings(*facts):
    """Rows of the facts that differ; `None` for a run that has no such fact."""
    flat = [keras_isd.callbacks.run_record.flatten(fact) for fact in facts]
    names = dict.fromkeys(name for one in flat for name in one)
    rows = [(name, *(str(one.get(name)) for one in flat)) for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]


def _last_metrics(folders):
    metrics = [
        keras_isd.visualization.read_csv_log(pathlib.Path(f, "metrics.csv")) for f in folders
    ]
    rows = [("epochs", *(f"{len(one['epoch'])}" for one in metrics))]
    for name, form in keras_isd.training.progress.PROGRESS.items():
        values = [[v for v in one.get(name, []) if not np.isnan(v)] for one in metrics]
        if any(values):
            rows.append((name, *(format(found[-1], form) if found else "" for found in values)))
    return rows


def _print_table(title, folders, rows):
    names = [title, *map(str, folders)]
    widths = [max(len(row[column]) for row in [names, *rows]) for column in range(3)]
    for row in [names, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print("" if rows else "none\n")


def _print_agreement(arguments, source):
    rows = np.linspace(0, len(source) - 1, min(MAX_IMAGES, len(source))).astype(int)
    part = source.subset(np.unique(rows))
    if len(part) < 3:
        raise ValueError(f"--images must be at least three. Received: {len(part)} images")
    k = min(arguments.k, len(part) - 2)  # one may be unreadable
    found = [_find_neighbors(folder, part, k) for folder in (arguments.model, arguments.other)]
    shared = [len(np.intersect1d(one, other)) for one, other in zip(*found, strict=True)]
    print(
        f"neighbours: {np.mean(shared) / k:.1%} of the {k} nearest of {len(shared):,} images are "
        f"the same, {k / (len(shared) - 1):.1%} by chance"
    )


def _find_neighbors(folder, source, k):
    model, view = keras_isd.training.load_run(folder)
    batches = keras_isd.data.ViewBatches(source, None, view, 100)
    found = keras_isd.evaluation.extract_features(model, batches, verbose=0)
    return keras_isd.exploration.find_neighbors(found.features, k=k)[0]
