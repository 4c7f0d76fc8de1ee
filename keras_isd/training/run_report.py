"""The page of a run: what was made, how it went, and a map of some of its images."""

import datetime
import json
import pathlib

import numpy as np
from absl import logging

from keras_isd.data import ViewBatches
from keras_isd.evaluation import extract_features
from keras_isd.exploration import cluster_features, find_duplicates
from keras_isd.visualization import plot_history, read_csv_log, write_explorer

IMAGES = 2000  # on the map, at most


def write_run_report(folder, source, model, view, settings, seed=0):
    """Writes `report.html` into the folder of a run: a map of images, clusters, curves, settings.

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
    count = min(IMAGES, len(source))
    part = source.subset(np.sort(np.random.RandomState(seed).permutation(len(source))[:count]))
    found = extract_features(model, ViewBatches(part, None, view, 100), verbose=0)
    part = part.subset(found.indices)  # those that could be read
    metrics = read_csv_log(folder / "metrics.csv")
    facts = json.loads((folder / "run.json").read_text())
    try:
        write_explorer(
            folder / "report.html",
            found.features,
            part,
            clusters=cluster_features(found.features, seed=seed),
            duplicates=[rows.tolist() for rows in find_duplicates(found.features)],
            facts=_about(facts, source, count),
            tables={
                "Settings": [
                    ["", "value", "why"],
                    *(
                        [name, str(value), settings.reasons.get(name, "")]
                        for name, value in facts["settings"].items()
                    ),
                ],
                "At the end": [["", "value"], *([n, v[-1]] for n, v in metrics.items())],
            },
            figures={"The course of the run": plot_history(metrics)},
            title=f"{settings.method}, {len(source):,} images",
            seed=seed,
        )
    except ImportError as error:
        logging.warning("No report: %s", error)
        return None
    return folder / "report.html"


def _about(facts, source, count):
    return {
        "images": f"{len(source):,}, of which {count:,} are on the map",
        "seed": facts["seed"],
        "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
        "date": datetime.date.today().isoformat(),
    }
