"""A run in a folder: begun, gone on with where it was stopped, and read when it is done."""

import contextlib
import dataclasses
import importlib.util
import json
import math
import pathlib
import time

import keras
import numpy as np

from keras_isd.argument_validation import check_positive
from keras_isd.augmentation import IMAGENET, evaluation
from keras_isd.callbacks import (
    HealthMonitor,
    KNNEvaluation,
    ReportUnreadable,
    Resume,
    record_run,
    run_facts,
)
from keras_isd.data import ChannelStatistics, ViewBatches, channel_statistics
from keras_isd.training.model_building import make_batches, make_model, views_of
from keras_isd.training.progress import ProgressLine
from keras_isd.training.time_limit import measure_steps

HELD_OUT = 1000  # images that are not trained on, but looked at, at most
LOOKS = 50  # how often in a run it is told how it goes, about
BANK = 5000  # labelled images that the accuracy while training compares with, at most


def train_on_images(
    source, output, settings, seed=0, minutes=None, teacher_features=None, tell=print
):
    """Trains a model on images, in a folder that holds all that belongs to the run.

    The folder gets `run.json` (settings, seed, versions), `view.json` (how images become what the
    network takes), `metrics.csv`, `tensorboard/` where TensorBoard is installed, checkpoints, and
    at the end `model.keras`. A run that was stopped or killed goes on with the same call, and ends
    as it would have ended; a folder of another run is refused. A tenth of the images, at most a
    thousand, is not trained on but watched: `HealthMonitor` tells by them, without labels, whether
    the network learns. Labels, where there are any, only measure.

    Args:
        source: `keras_isd.data.ImageSource`.
        output: path of the folder.
        settings: `TrainingSettings`, see `choose_settings`.
        seed: int, which fixes weights, order and views, and so the run.
        minutes: float, how long the run may take; some steps are timed first, it is told what they
            come to, and the run has fewer epochs than the settings where that is needed. Infinity
            for no limit; None to begin at once.
        teacher_features: path of a `.npy` file, a row of a frozen teacher's features for each
            image, see `keras_isd.evaluation.cache_features`; for the method `"distillation"`. All
            images are then trained on, and some of them watched.
        tell: function that is called with each line to print.

    Returns:
        The trained model, such as a `keras_isd.ISDModel`.

    Raises:
        ValueError: if the folder is of another run, one epoch takes longer than `minutes`, or the
            method is distillation and there are no `teacher_features`, or the other way round.

    Example:

    >>> import tempfile
    >>> images = np.random.RandomState(0).randint(0, 256, (40, 12, 12, 3)).astype("uint8")
    >>> source = keras_isd.data.from_arrays(images)
    >>> settings = keras_isd.training.choose_settings(
    ...     source, accelerator=False, size=12, epochs=1, batch_size=12)
    >>> folder = tempfile.mkdtemp()
    >>> model = keras_isd.training.train_on_images(source, folder, settings, tell=lambda line: None)
    >>> model, view = keras_isd.training.load_run(folder)
    >>> model.predict(view(images), verbose=0).shape
    (40, 128)
    """
    begin = time.monotonic()
    if minutes is not None:
        check_positive("minutes", minutes)
    folder = pathlib.Path(output).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    resume = Resume(folder / "checkpoints", every_n_steps=500)
    _check_teacher(settings, teacher_features)
    if settings.stored_size:
        source = source.resized(settings.stored_size, folder / "resized", verbose=0)
    training, watched = _parts(source, seed, teacher_features)
    settings, is_measured = _as_measured(folder, settings, minutes)
    _record(folder, resume, settings, source, seed, is_measured)
    statistics = _statistics(folder, training, settings.size)
    if minutes is not None and not is_measured:
        seconds = 60 * minutes - (time.monotonic() - begin)
        settings = measure_steps(
            training, settings, statistics, seconds, seed, teacher_features, tell
        )
        _record(folder, resume, settings, source, seed, is_measured=True)
    keras.utils.set_random_seed(seed)
    place = {"initial_epoch": resume.initial_epoch, "initial_step": resume.initial_step}
    batches = make_batches(
        training, settings, statistics, seed, teacher_features=teacher_features, **place
    )
    model = make_model(
        settings, statistics, training.channels, len(batches), seed, teacher_features
    )
    every = max(1, settings.epochs // LOOKS)
    if _is_begun(resume):
        is_done = resume.initial_epoch >= settings.epochs
        of = f"{resume.initial_epoch} of {settings.epochs} epochs"
        tell("The run is finished." if is_done else f"Goes on after {of}.")
    model.fit(
        batches,
        epochs=settings.epochs,
        initial_epoch=resume.initial_epoch,
        shuffle=False,  # the batches are
        verbose=0,
        callbacks=[
            resume,
            HealthMonitor(
                views=_two_views(watched, settings, statistics, seed), every_n_epochs=every
            ),
            *_accuracy(training, watched, settings, statistics, every),
            ReportUnreadable(training),
            keras.callbacks.CSVLogger(folder / "metrics.csv", append=_is_begun(resume)),
            *_tensorboard(folder),
            ProgressLine(tell, every),
        ],
    )
    unfinished = folder / "unfinished.keras"
    model.save(unfinished)
    unfinished.replace(folder / "model.keras")
    return model


def load_run(folder):
    """Loads what a run made: the model, and the view that its features are of.

    Args:
        folder: path that `train_on_images` wrote to.

    Returns:
        Pair of the model, of which `predict` and `keras_isd.evaluation.extract_features` give the
        student's features, and a `keras_isd.augmentation.Augmenter` from images to what it takes.

    Raises:
        ValueError: if there is no finished run in the folder.

    Example: see `train_on_images`.
    """
    folder = pathlib.Path(folder).expanduser()
    if not (folder / "model.keras").is_file():
        begun = ", where a run was begun and is not finished" * (folder / "run.json").is_file()
        raise ValueError(
            "Argument `folder` must be that of a finished run, with a model.keras. "
            f"Received: {folder}{begun}"
        )
    view = json.loads((folder / "view.json").read_text())
    size = view.pop("size")
    return keras.models.load_model(folder / "model.keras"), evaluation(
        size, ChannelStatistics(**view)
    )


def _is_begun(resume):
    return bool(resume.initial_epoch or resume.initial_step)


def _check_teacher(settings, teacher_features):
    if (settings.method == "distillation") != (teacher_features is not None):
        raise ValueError(
            'Argument `teacher_features` goes with the method "distillation". Received: '
            f"{teacher_features=}, method={settings.method!r}"
        )


def _parts(source, seed, teacher_features):
    """Images to train on, and those to watch."""
    count = min(HELD_OUT, len(source) // 10)
    if count < 3:
        return source, source
    order = np.random.RandomState(seed).permutation(len(source))
    watched = source.subset(np.sort(order[:count]))
    if teacher_features is not None:  # which are of all images
        return source, watched
    return source.subset(np.sort(order[count:])), watched


def _as_measured(folder, settings, minutes):
    """The settings, with the epochs that were found to fit if the run was begun; and whether."""
    path = folder / "run.json"
    if minutes is None or not path.is_file():
        return settings, False
    begun = json.loads(path.read_text())
    if not begun["epochs_measured"]:
        return settings, False
    if math.isinf(minutes):  # then they are those that are asked for, or it is another run
        return settings, True
    return dataclasses.replace(settings, epochs=begun["settings"]["epochs"]), True


def _record(folder, resume, settings, source, seed, is_measured):
    facts = run_facts(
        settings=settings.values(), seed=seed, images=len(source), epochs_measured=is_measured
    )
    record_run(folder / "run.json", facts, resume)


def _statistics(folder, source, size):
    """Means and deviations of channels, measured once but for photographs of 8 bits."""
    path = folder / "view.json"
    if path.is_file():
        found = json.loads(path.read_text())
        return ChannelStatistics(found["mean"], found["std"], found["value_range"])
    if source.channels == 3 and source.dtype == "uint8":
        found = ChannelStatistics(*IMAGENET, (0, 255))
    else:
        found = channel_statistics(source)
    path.write_text(json.dumps({"size": size, **found._asdict()}, default=np.ndarray.tolist))
    return found


def _two_views(source, settings, statistics, seed):
    """Two views of each image, drawn once: pair of arrays."""
    views = []
    for number, view in enumerate(views_of(settings, statistics)):
        keras.utils.set_random_seed(seed + number)
        batches = ViewBatches(source, None, view, 100)
        views.append(np.concatenate([keras.ops.convert_to_numpy(batch[0]) for batch in batches]))
    readable = np.isfinite(views[0]).all(axis=(1, 2, 3)) & np.isfinite(views[1]).all(axis=(1, 2, 3))
    keras.utils.set_random_seed(seed)
    return [view[readable] for view in views]


def _accuracy(training, watched, settings, statistics, every):
    if training.labels is None or training is watched or min(training.labels) < 0:
        return []
    known = np.isin(watched.labels, np.unique(training.labels))
    rows = np.linspace(0, len(training) - 1, min(BANK, len(training))).astype(int)
    bank = training.subset(rows)
    known &= np.isin(watched.labels, np.unique(bank.labels))
    view = evaluation(settings.size, statistics)
    queries = watched.subset(np.flatnonzero(known))
    bank, queries = (ViewBatches(part, None, view, 100) for part in (bank, queries))
    k = min(20, len(rows))
    return [KNNEvaluation(bank, queries, every_n_epochs=every, networks="student", k=k)]


def _tensorboard(folder):
    if importlib.util.find_spec("tensorboard") is None or keras.backend.backend() == "jax":
        return []
    with contextlib.suppress(ImportError):
        return [keras.callbacks.TensorBoard(folder / "tensorboard")]
    return []
