"""A run in a folder: begun, gone on with where it was stopped, and read when it is done."""

import importlib.util
import pathlib
import time

import keras

from keras_isd.callbacks import HealthMonitor, ReportUnreadable, Resume
from keras_isd.training.metrics_file import MetricsFile
from keras_isd.training.model_building import make_batches, make_model
from keras_isd.training.progress import ProgressLine
from keras_isd.training.run_files import as_measured, read_view, record, view_statistics
from keras_isd.training.time_limit import measure_steps
from keras_isd.training.watched_images import accuracy_while_training, two_views, watched_parts
from keras_isd.validation.arguments import check_positive

LOOKS = 50  # how often in a run it is told how it goes, about


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
    _check_teacher(settings, teacher_features)
    folder = pathlib.Path(output).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    resume = Resume(folder / "checkpoints", every_n_steps=500)
    is_begun = bool(resume.initial_epoch or resume.initial_step)
    settings, is_measured = as_measured(folder, settings, minutes)
    of_run = (source, seed, teacher_features, minutes)
    record(folder, resume, settings, *of_run, is_measured)
    if settings.stored_size:
        tell(f"Copies of {settings.stored_size} pixels, made once: {folder / 'resized'}")
        source = source.resized(settings.stored_size, folder / "resized", verbose=0)
    training, watched, others = watched_parts(source, seed, teacher_features)
    statistics = view_statistics(folder, training, settings.size, is_begun)
    if minutes is not None and not is_measured:
        seconds = 60 * minutes - (time.monotonic() - begin)
        settings = measure_steps(
            training, settings, statistics, seconds, seed, teacher_features, tell
        )
        record(folder, resume, settings, *of_run, True)
    keras.utils.set_random_seed(seed)
    place = {"initial_epoch": resume.initial_epoch, "initial_step": resume.initial_step}
    batches = make_batches(
        training, settings, statistics, seed, teacher_features=teacher_features, **place
    )
    model = make_model(
        settings, statistics, training.channels, len(batches), seed, teacher_features
    )
    every = max(1, settings.epochs // LOOKS)
    if is_begun:
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
                views=two_views(watched, settings, statistics, seed), every_n_epochs=every
            ),
            *accuracy_while_training(others, watched, settings, statistics, every),
            ReportUnreadable(training),
            MetricsFile(folder / "metrics.csv", resume.initial_epoch),
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
    return keras.models.load_model(folder / "model.keras"), read_view(folder)


def _check_teacher(settings, teacher_features):
    if (settings.method == "distillation") != (teacher_features is not None):
        raise ValueError(
            'Argument `teacher_features` goes with the method "distillation". Received: '
            f"{teacher_features=}, method={settings.method!r}"
        )


def _tensorboard(folder):
    """A log for TensorBoard, which Keras writes by TensorFlow."""
    wanted = ("tensorboard", "tensorflow")
    if any(importlib.util.find_spec(name) is None for name in wanted):
        return []
    if keras.backend.backend() == "jax":
        return []
    return [keras.callbacks.TensorBoard(folder / "tensorboard")]
