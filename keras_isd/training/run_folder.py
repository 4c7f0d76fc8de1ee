"""The files of a run folder: its facts, the view of its images, its metrics and its model."""

import csv
import dataclasses
import hashlib
import io
import json
import math
import pathlib

import keras
import numpy as np

from keras_isd.augmentation import IMAGENET, evaluation
from keras_isd.callbacks import record_run, run_facts
from keras_isd.callbacks.run_record import check_same_facts
from keras_isd.data import ChannelStatistics, channel_statistics
from keras_isd.data.fingerprint import absolute_name, features_fingerprint, source_fingerprint
from keras_isd.files import atomic_path, write_text

MAX_NORMALIZED = 200  # images that statistics are measured on, if each is normalised


def load_run(folder):
    """Loads the model of a finished run and the view that it takes.

    Args:
        folder: path of the folder of a `Run`.

    Returns:
        Pair of the model, whose `predict` and `keras_isd.evaluation.extract_features` give the
        student's features, and a `keras_isd.augmentation.Augmenter` from images to its input.

    Raises:
        ValueError: if the folder holds no finished run.

    Example: see `Run`.
    """
    folder = check_finished(folder)
    return keras.models.load_model(folder / "model.keras"), evaluation(*read_statistics(folder))


def check_finished(folder):
    """Raises a ValueError unless a folder holds a finished run; returns its path."""
    folder = pathlib.Path(folder).expanduser()
    if not (folder / "model.keras").is_file():
        begun = ", whose run is not finished" * (folder / "run.json").is_file()
        raise ValueError(
            "Argument `folder` must be that of a finished run, with a model.keras. "
            f"Received: {folder}{begun}"
        )
    return folder


# The parts of a model that another run can start from.
PARTS = (
    *("student_backbone", "projector", "predictor"),
    *("teacher_backbone", "teacher_projector", "queue"),
)


def copy_weights(folder, model):
    """Copies the weights of a finished run's model, as far as they fit; returns the parts' names.

    Raises:
        ValueError: if the backbones differ.
    """
    start, copied = load_run(folder)[0], []
    for name in PARTS:
        part, found = (getattr(one, name, None) for one in (model, start))
        if part is None or found is None:
            continue
        weights = found.get_weights()
        if [w.shape for w in part.get_weights()] == [w.shape for w in weights]:
            part.set_weights(weights)
            copied.append(name)
    if "student_backbone" not in copied:
        raise ValueError(
            "Argument `start` must be a run with the same network for images of the same size and "
            f"channels. Received: {folder}, with another network"
        )
    return copied


def count_new_images(folder, source):
    """The number of a source's images that a run was not trained on; None if it is unknown."""
    file = pathlib.Path(folder, "images.npy")
    if source.names is None or not file.is_file():
        return None
    return len(np.setdiff1d(_hash_names(source), np.load(file, allow_pickle=False)))


def _hash_names(source):
    """A number of 64 bits for each name, so that those of a million images take 8 MB."""
    digests = (
        hashlib.blake2b(absolute_name(name).encode("utf-8", "surrogateescape"), digest_size=8)
        for name in source.names
    )
    return np.array([int.from_bytes(digest.digest()) for digest in digests], "uint64")


def record(run, resume, is_measured):
    """Writes `run.json`; raises a ValueError if another run was begun in the folder."""
    features, minutes = run.teacher_features, run.minutes
    facts = run_facts(
        **_facts(run),
        teacher=None if features is None else features_fingerprint(np.load(features, "r")),
        minutes=None if minutes is None or math.isinf(minutes) else minutes,
        epochs_measured=is_measured,
        reading=run.reading,
    )
    # The settings' epochs show whether measured epochs are those asked for.
    ignore = ("epochs_measured", "reading")
    record_run(run.folder / "run.json", facts, resume, ignore)
    if run.source.names is not None:
        with atomic_path(run.folder / "images.npy") as unfinished:
            np.save(unfinished, _hash_names(run.source))


def check_same_run(run):
    """Raises a ValueError if the folder has checkpoints of another run.

    Ignores teacher and epochs: this is for before they are known.
    """
    if (run.folder / "run.json").is_file() and find_checkpoints(run):
        ignore = ("minutes", "epochs_measured", "teacher", "settings.epochs", "reading")
        check_same_facts(run.folder / "run.json", run_facts(**_facts(run)), ignore)


def find_checkpoints(run):
    """The paths of a run's checkpoints."""
    return [p for p in run.folder.glob("checkpoints/*") if p.suffix != ".unfinished"]


def _facts(run):
    start = {} if run.start is None else {"start": str(run.start.absolute())}
    return {
        **start,
        "settings": run.settings.values(),
        "seed": run.seed,
        "images": {"count": len(run.source), "fingerprint": source_fingerprint(run.source)},
    }


def with_measured_epochs(run):
    """The settings with the epochs that were measured before, and whether they were measured.

    Epochs that were measured with other settings or another time limit are not used.
    """
    path, settings = run.folder / "run.json", run.settings
    if run.minutes is None or not path.is_file():
        return settings, False
    facts = json.loads(path.read_text())
    before, now = dict(facts.get("settings", {})), settings.values()
    epochs = before.pop("epochs", None)
    asked = now.pop("epochs")
    limit = None if math.isinf(run.minutes) else run.minutes
    if not facts.get("epochs_measured") or before != now or facts.get("minutes") != limit:
        return settings, False
    if limit is None:  # without a limit all epochs that are asked for fit
        return settings, epochs == asked
    return dataclasses.replace(settings, epochs=epochs), True


def with_trained_epochs(run, epochs):
    """The settings with the epochs that a time limit left, which `run.json` gets, too."""
    path = run.folder / "run.json"
    facts = json.loads(path.read_text())
    facts["settings"]["epochs"] = epochs
    write_text(path, json.dumps(facts, indent=1))
    return dataclasses.replace(run.settings, epochs=epochs)


def view_statistics(run, is_resumed):
    """Mean and standard deviation of each channel: ImageNet's for 8-bit RGB, else measured once."""
    path, source = run.folder / "view.json", run.training
    if is_resumed and path.is_file():
        return read_statistics(run.folder)[1]
    normalize = run.settings.normalize
    start = None if run.start is None else read_statistics(run.start)[1]
    if start is not None and start.normalize == normalize:
        found = start
    elif normalize != "none":  # of a sample: each image is normalised first, which takes time
        found = channel_statistics(source, images=MAX_NORMALIZED, normalize=normalize)
    elif source.channels == 3 and source.dtype == "uint8":
        found = ChannelStatistics(*IMAGENET, (0, 255))
    else:
        found = channel_statistics(source)
    view = {"size": run.settings.size, "dtype": source.dtype, **found._asdict()}
    write_text(path, json.dumps(view, default=np.ndarray.tolist))
    return found


def read_statistics(folder):
    """The size of the views that the run's network takes, and the statistics of their channels."""
    view = json.loads(pathlib.Path(folder, "view.json").read_text())
    view.pop("dtype", None)  # which earlier versions did not write
    return view.pop("size"), ChannelStatistics(**view)


class MetricsFile(keras.callbacks.Callback):
    """Writes the metrics of each epoch to a CSV file; the cell of a missing metric is empty.

    Unlike `keras.callbacks.CSVLogger` it keeps the columns of all epochs, even if a run resumes in
    an epoch that measures less, and an epoch that is trained again has one row.

    Args:
        path: path of the file.
        initial_epoch: int, the epoch at which the run resumes: rows from there on are dropped.
            Defaults to 0.
    """

    def __init__(self, path, initial_epoch=0):
        super().__init__()
        self.path = pathlib.Path(path)
        self.rows = []
        if initial_epoch and self.path.is_file():
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            self.rows = [row for row in rows if int(row["epoch"]) < initial_epoch]

    def on_epoch_end(self, epoch, logs=None):
        values = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch, **values})
        columns = sorted({name for row in self.rows for name in row} - {"epoch"})
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, ["epoch", *columns], lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)
        write_text(self.path, text.getvalue())
