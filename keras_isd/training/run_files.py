"""What the folder of a run holds of it: its facts, and the view of its images."""

import dataclasses
import json
import math
import pathlib
import zlib

import numpy as np

from keras_isd.augmentation import IMAGENET, evaluation
from keras_isd.callbacks import record_run, run_facts
from keras_isd.callbacks.run_record import check_same_run
from keras_isd.data import ChannelStatistics, channel_statistics
from keras_isd.data.fingerprint import fingerprint
from keras_isd.files import write_text

SAMPLES = 16  # rows of features by which others are told apart


def record(folder, resume, settings, source, seed, teacher_features, minutes, is_measured):
    """Writes `run.json`, or raises a ValueError where another run was begun in the folder."""
    facts = run_facts(
        **_facts_of(settings, source, seed),
        teacher=None if teacher_features is None else _which_features(teacher_features),
        minutes=None if minutes is None or math.isinf(minutes) else minutes,
        epochs_measured=is_measured,
    )
    # Whether epochs are those asked for shows in them.
    record_run(folder / "run.json", facts, resume, may_differ=("epochs_measured",))


def check_folder(folder, settings, source, seed):
    """Raises a ValueError where another run has checkpoints in the folder.

    Of its teacher and its epochs nothing is asked: this is for before they are known.
    """
    folder = pathlib.Path(folder).expanduser()
    checkpoints = [path for path in folder.glob("checkpoints/*") if path.suffix != ".unfinished"]
    if (folder / "run.json").is_file() and checkpoints:
        facts = run_facts(**_facts_of(settings, source, seed))
        free = ("minutes", "epochs_measured", "teacher", "settings.epochs")
        check_same_run(folder / "run.json", facts, free)


def _facts_of(settings, source, seed):
    return {
        "settings": settings.values(),
        "seed": seed,
        "images": {"count": len(source), "fingerprint": fingerprint(source)},
    }


def as_measured(folder, settings, minutes):
    """The settings, with the epochs that were found to fit if it is this run; and whether it is.

    Epochs that were measured of other settings, or for another time, are not those of this run.
    """
    path = folder / "run.json"
    if minutes is None or not path.is_file():
        return settings, False
    begun = json.loads(path.read_text())
    before, now = dict(begun.get("settings", {})), settings.values()
    epochs = before.pop("epochs", None)
    asked = now.pop("epochs")
    limit = None if math.isinf(minutes) else minutes
    if not begun.get("epochs_measured") or before != now or begun.get("minutes") != limit:
        return settings, False
    if limit is None:  # then they are those that are asked for
        return settings, epochs == asked
    return dataclasses.replace(settings, epochs=epochs), True


def view_statistics(folder, source, size, is_begun):
    """Means and deviations of channels, measured once but for photographs of 8 bits."""
    path = folder / "view.json"
    if is_begun and path.is_file():
        found = json.loads(path.read_text())
        return ChannelStatistics(found["mean"], found["std"], found["value_range"])
    if source.channels == 3 and source.dtype == "uint8":
        found = ChannelStatistics(*IMAGENET, (0, 255))
    else:
        found = channel_statistics(source)
    write_text(path, json.dumps({"size": size, **found._asdict()}, default=np.ndarray.tolist))
    return found


def read_statistics(folder):
    """The size of the views that the network of the run takes, and their channels' statistics."""
    view = json.loads(pathlib.Path(folder, "view.json").read_text())
    return view.pop("size"), ChannelStatistics(**view)


def read_view(folder):
    """The `Augmenter` from images to what the network of the run takes."""
    return evaluation(*read_statistics(folder))


def _which_features(path):
    features = np.load(path, mmap_mode="r")
    rows = np.linspace(0, len(features) - 1, SAMPLES).astype(int)
    return zlib.crc32(np.ascontiguousarray(features[rows]).tobytes())
