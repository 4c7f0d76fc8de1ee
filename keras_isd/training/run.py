"""A training run: images, settings and seed, and the folder that holds the result."""

import importlib.util
import math
import pathlib
import time
from typing import Any

import keras
import numpy as np

from keras_isd import augmentation, visualization
from keras_isd.augmentation import Augmenter, CentralCrop, evaluation, strong, weak
from keras_isd.backbones import ConvNet, ResNet18, ResNet50
from keras_isd.callbacks import HealthMonitor, KNNEvaluation, ReportUnreadable, Resume
from keras_isd.data import ImageBatches, ViewBatches
from keras_isd.data.batches.view_batches import readable_views
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.evaluation import cache_features
from keras_isd.files import atomic_path, lock
from keras_isd.models import QueueModel
from keras_isd.optimizers import from_recipe
from keras_isd.recipes import get_recipe
from keras_isd.training import run_folder
from keras_isd.training.progress import ProgressLine, TimeLimit, epochs_that_fit, time_steps
from keras_isd.training.report import write_report
from keras_isd.training.settings import SMALL
from keras_isd.training.teachers import make_teacher
from keras_isd.validation.arguments import check_positive

MAX_HELD_OUT = 1000  # images
SMALL_AREA = (0.05, 0.4)  # of small views, as local crops have in DINO (Caron et al., 2021)
MIN_GROUPS = 10  # from which on whole groups are held out
MAX_BANK = 5000  # labelled images that k-NN compares held-out images with
REPORTS_PER_RUN = 50  # epochs with health metrics and a line of progress, about
CHECKPOINT_STEPS = 500
DRAWN_IMAGES = 8  # with their views
READ_FIRST = 32  # images that show before the training how many cannot be read
# Shares of a time limit for the report: a tenth, and of a short one up to 45 seconds.
REPORT_SHARE, MAX_REPORT_SHARE, REPORT_SECONDS = 0.1, 0.25, 45


class Run:
    """A training run in a folder: everything that its steps share, and the steps.

    `train` writes `run.json` (settings, seed, versions), `view.json` (the preprocessing of images),
    `metrics.csv`, `tensorboard/` if TensorBoard is installed, checkpoints, and at the end
    `model.keras`. The same call resumes an interrupted run, which ends exactly as it
    would have ended; a folder of another run is refused. A tenth of the images, at most 1,000, is
    held out: `HealthMonitor` measures on them, without labels, whether the network learns. Labels,
    if there are any, are used for metrics only.

    Args:
        folder: path of the folder.
        source: `keras_isd.data.ImageSource`.
        settings: `TrainingSettings`, see `choose_settings`.
        seed: int, fixes weights, order and views, and so the run. Defaults to 0.
        minutes: float, limit of the run's duration: some steps are timed first, the estimate is
            logged, and epochs are left out if they do not fit. Infinity times the steps without a
            limit; None does neither. Defaults to None.
        teacher: the frozen teacher of the method `"distillation"`, else None: the path of a `.npy`
            file with a row of features for each image (see `keras_isd.evaluation.cache_features`),
            or the name of a network, see `make_teacher`. The network's features are computed once,
            into `teacher_features.npy` of the folder. With a teacher all images are trained on, the
            held-out ones included. Defaults to None.
        teacher_size: int, side in pixels of the images that a named teacher sees. Defaults to 224.
        log_fn: function that is called with each line of progress. Defaults to `print`.
        reading: dict, how the images were read, for `run.json`: JSON-compatible values. They may
            differ when a run is resumed. Defaults to None.
        plot_views: bool, whether the views of some images are drawn into `views.jpg` of the folder
            before training. Defaults to False.
        start: path of the folder of a finished run to start from, such as one of fewer images, or
            None for random weights. Weights of the same parts are copied: student, teacher and,
            if it has the same size, queue; so are the statistics of the channels. The schedule
            begins anew. Defaults to None.
        started: float, the value of `time.monotonic()` from which on `minutes` count. Defaults to
            None: the call of `train`.
        max_unreadable: float in [0, 1], the share of unreadable images, of a sample, above which
            nothing is trained. Defaults to 0.5.

    Attributes:
        model: the trained model after `train`, such as a `keras_isd.ISDModel`; None before.
        images: `ImageSource`, the images that are read: `source`, or smaller copies of it.
        training, held_out, others: `ImageSource`s after `train`: images to train on, held-out
            images, and all images but those.

    Raises:
        ValueError: if `minutes` is not positive, the method is distillation and `teacher` is
            None, another method has a teacher, or `start` is no finished run; by `train`, if too
            many images cannot be read.

    Example:

    >>> import tempfile
    >>> images = np.random.RandomState(0).randint(0, 256, (40, 12, 12, 3)).astype("uint8")
    >>> source = keras_isd.data.from_arrays(images)
    >>> settings = keras_isd.training.choose_settings(
    ...     source, accelerator=False, size=12, epochs=1, batch_size=12)
    >>> folder = tempfile.mkdtemp()
    >>> run = keras_isd.training.Run(folder, source, settings, log_fn=lambda line: None)
    >>> model = run.train()
    >>> model, view = keras_isd.training.load_run(folder)
    >>> model.predict(view(images), verbose=0).shape
    (40, 128)
    """

    def __init__(
        self,
        folder,
        source,
        settings,
        seed=0,
        minutes=None,
        teacher=None,
        teacher_size=224,
        log_fn=print,
        reading=None,
        plot_views=False,
        start=None,
        started=None,
        max_unreadable=0.5,
    ):
        if minutes is not None:
            check_positive("minutes", minutes)
        if (settings.method == "distillation") != (teacher is not None):
            raise ValueError(
                'Argument `teacher` must be given for the method "distillation" and for no other. '
                f"Received: {teacher=}, method={settings.method!r}"
            )
        self.folder = pathlib.Path(folder).expanduser()
        self.source = source
        self.settings = settings
        self.seed = seed
        self.minutes = minutes
        self.teacher = teacher
        self.teacher_size = teacher_size
        self.teacher_features = None
        self.log_fn = log_fn
        self.reading = dict(reading or {})
        self.plot_views = plot_views
        self.started = started
        self.max_unreadable = max_unreadable
        self.start = None if start is None else run_folder.check_finished(start)
        self.images = source
        self.model: Any = None

    def train(self):
        """Trains the model, or resumes its training, and saves it.

        Returns:
            The trained model.

        Raises:
            BlockingIOError: if another process trains in the folder.
            ValueError: if the folder is of another run, or one epoch takes longer than `minutes`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock(self.folder / "run"):
            return self._train(time.monotonic() if self.started is None else self.started)

    def _train(self, start):
        run_folder.check_same_run(self)  # before a teacher sees an image
        self._check_readable()
        self.teacher_features = self._teacher_features()
        resume = Resume(self.folder / "checkpoints", every_n_steps=CHECKPOINT_STEPS)
        is_resumed = bool(resume.initial_epoch or resume.initial_step)
        self.settings, is_measured = run_folder.with_measured_epochs(self)
        run_folder.record(self, resume, is_measured)
        if self.settings.stored_size:
            copies = self.folder / "resized"
            self.log_fn(f"Smaller copies of the images, made once: {copies}")
            self.images = self.source.resized(self.settings.stored_size, copies, verbose=0)
        self.training, self.held_out, self.others = self._split()
        self.statistics = run_folder.view_statistics(self, is_resumed)
        if self.plot_views:
            self._plot_views()
        if self.minutes is not None and not is_measured:
            self._fit_epochs_into(start + training_seconds(self.minutes) - time.monotonic())
            run_folder.record(self, resume, True)
        if is_resumed:
            done, epochs = resume.initial_epoch, self.settings.epochs
            is_done = done >= epochs
            self.log_fn(
                "The run is finished." if is_done else f"Resuming at epoch {done + 1}/{epochs}."
            )
        end = math.inf if self.minutes is None else start + training_seconds(self.minutes)
        self._fit(resume, end)
        with atomic_path(self.folder / "model.keras") as unfinished:
            self.model.save(unfinished)
        return self.model

    def _check_readable(self):
        """Raises a ValueError if too many of some images cannot be read."""
        rows = np.linspace(0, len(self.source) - 1, min(READ_FIRST, len(self.source))).astype(int)
        reasons = []
        for row in rows.tolist():
            try:
                self.source.read_exactly(row)
            except UnreadableImageError as error:
                reasons.append(f"{self.source.row_name(row)}: {error}")
        if len(reasons) > self.max_unreadable * len(rows):
            raise ValueError(
                f"Argument `max_unreadable` allows at most {self.max_unreadable:.0%} of the images "
                f"to be unreadable. Received: {len(reasons)} of a sample of {len(rows)}, such as "
                f"{reasons[0]}"
            )

    def write_report(self):
        """Writes `report.html` into the folder: the verdict, tables, and a map of the images.

        Returns:
            The path of the page, or None if a package of the extra `[explore]` is not installed,
            which is logged.

        Raises:
            ValueError: if `train` was not called.
        """
        if self.model is None:
            raise ValueError(
                "Method `train` must be called before `write_report`, also for a finished run. "
                f"Received: {self.folder} without a trained model"
            )
        return write_report(self)

    @property
    def view(self):
        """The `Augmenter` from images to the network's input, without randomness."""
        return evaluation(self.settings.size, self.statistics)

    def query_and_key_view(self):
        """The random views of the domain, or of the recipe; small images are not blurred."""
        blur = 0 if self.settings.size <= SMALL else 0.5
        if self.settings.domain != "photo":
            policy = getattr(augmentation, self.settings.domain)
            return [policy(self.settings.size, self.statistics, blur=blur) for _ in range(2)]
        make = {
            "strong": lambda: strong(self.settings.size, self.statistics, blur=blur),
            "weak": lambda: weak(self.settings.size, self.statistics),
        }
        names = [view.__name__ for view in get_recipe(self.settings.recipe).views]
        # BYOL's recipe has two strong views of its own, which differ in blur and solarisation.
        return [make["weak" if name == "weak" else "strong"]() for name in names]

    def small_view(self, query):
        """The random small view that goes with a query, or None."""
        if not self.settings.small_views:
            return None
        return query.with_crop(self.settings.size // 2, SMALL_AREA)

    def held_out_views(self):
        """Two views of each held-out image, drawn once: two arrays; None for under three images."""
        views = []
        for number, view in enumerate(self.query_and_key_view()):
            keras.utils.set_random_seed(self.seed + number)
            views.append(readable_views(self.held_out, view)[0])
        keras.utils.set_random_seed(self.seed)
        return views if len(views[0]) >= 3 else None

    def _plot_views(self):
        """Draws images with their random views, as the network gets them."""
        rows = np.linspace(0, len(self.training) - 1, min(DRAWN_IMAGES, len(self.training)))
        source = self.training.subset(rows.astype(int))
        views = [readable_views(source, view) for view in self.query_and_key_view()]
        batch = {name: found for name, (found, _) in zip(("query", "key"), views)}
        statistics = self.statistics if self.settings.normalize == "none" else None
        path = self.folder / "views.jpg"
        visualization.plot_views(
            [batch], len(source), statistics, [source[row] for row in views[0][1]], path
        )
        keras.utils.set_random_seed(self.seed)
        self.log_fn(f"Views of some images: {path}")

    def make_batches(self, initial_epoch=0, initial_step=0):
        """Batches for `fit`: two views of each image, or without TensorFlow images of one size."""
        options = {
            "seed": self.seed,
            "teacher_features": self.teacher_features,
            "initial_epoch": initial_epoch,
            "initial_step": initial_step,
        }
        batch_size = self.settings.batch_size
        if makes_views_in_step():
            size = round(self.settings.size * 256 / 224)
            return ImageBatches(self.training, size, batch_size, **options)
        from keras_isd.data import two_view_dataset

        query, key = self.query_and_key_view()
        key = key if self.teacher_features is None else None
        options["query_views"] = self.settings.query_views
        options["small_query"] = self.small_view(query)
        options["small_views"] = self.settings.small_views
        return two_view_dataset(self.training, query, key, batch_size, **options)

    def make_model(self, steps_per_epoch):
        """The compiled model."""
        settings, recipe = self.settings, get_recipe(self.settings.recipe)
        arguments = {"backbone": _make_backbone(settings, self.training.channels)}
        arguments |= {"query_views": settings.query_views, "small_views": settings.small_views}
        if issubclass(recipe.method, QueueModel):
            arguments["queue_size"] = settings.queue_size
        if "shuffle_groups" in recipe.model:  # MoCo's groups of a batch have several images each
            groups = recipe.model["shuffle_groups"]
            arguments["shuffle_groups"] = groups if settings.batch_size % groups == 0 else 1
        if makes_views_in_step():
            query, key = self.query_and_key_view()
            arguments |= {"query_augmenter": query, "seed": self.seed}
            arguments["small_query_augmenter"] = self.small_view(query)
            if self.teacher_features is None:
                arguments["key_augmenter"] = key
        if self.teacher_features is not None:
            arguments["teacher"] = np.load(self.teacher_features, mmap_mode="r").shape[1]
        model = recipe.method.from_recipe(settings.recipe, **arguments)
        optimizer = from_recipe(
            settings.recipe,
            steps_per_epoch,
            settings.epochs,
            learning_rate=settings.learning_rate,
        )
        model.compile(optimizer)
        return model

    def _teacher_features(self):
        """Path of the teacher's features, computed by a named teacher if needed; or None."""
        if self.teacher is None or str(self.teacher).endswith(".npy"):
            return self.teacher
        path = self.folder / "teacher_features.npy"
        network = make_teacher(self.teacher, self.teacher_size)
        pixels = Augmenter([CentralCrop(self.teacher_size)])
        # Checkpoints depend on the features.
        is_new = not run_folder.find_checkpoints(self)
        cache_features(network, self.source, pixels, path, replace=is_new)
        return path

    def _split(self):
        """Images to train on, held-out images, and all images but the held-out ones."""
        images, count = self.images, min(MAX_HELD_OUT, len(self.images) // 10)
        if count < 3:
            return images, images, images
        order = np.random.RandomState(self.seed).permutation(len(images))
        rows = _whole_groups(images.groups, order, count)
        others = np.setdiff1d(np.arange(len(images)), rows)
        held_out, others = images.subset(np.sort(rows)), images.subset(others)
        # A teacher's features have a row for every image, so all are trained on.
        return (others if self.teacher_features is None else images), held_out, others

    def _fit_epochs_into(self, seconds):
        """Times some steps and leaves out the epochs that take longer than so many seconds."""
        keras.utils.set_random_seed(self.seed)
        batches = self.make_batches()
        # Trained here for some steps only; the run starts with a new model.
        timing = time_steps(self.make_model(len(batches)), batches)
        self.settings = epochs_that_fit(self.settings, timing, len(batches), seconds, self.log_fn)

    def _fit(self, resume, end):
        """Trains until the last epoch, or with fewer epochs if they end after a time."""
        keras.utils.set_random_seed(self.seed)
        batches = self.make_batches(resume.initial_epoch, resume.initial_step)
        self.model = self.make_model(len(batches))
        if self.start is not None:
            copied = run_folder.copy_weights(self.start, self.model)
            self.log_fn(f"Started from {self.start}: {', '.join(copied)}")
        every = max(1, self.settings.epochs // REPORTS_PER_RUN)
        limit = TimeLimit(end, self.log_fn)
        self.model.fit(
            batches,
            epochs=self.settings.epochs,
            initial_epoch=resume.initial_epoch,
            shuffle=False,  # the batches are shuffled
            verbose=0,
            callbacks=[
                resume,
                HealthMonitor(views=self.held_out_views(), every_n_epochs=every),
                *self._knn_evaluation(every),
                ReportUnreadable(self.training),
                run_folder.MetricsFile(self.folder / "metrics.csv", resume.initial_epoch),
                *_tensorboard(self.folder),
                limit,
                ProgressLine(self.log_fn, every, end),
            ],
        )
        if limit.epochs is not None:
            self.settings = run_folder.with_trained_epochs(self, limit.epochs)

    def _knn_evaluation(self, every):
        """k-NN accuracy of the held-out images by the other images' labels: list of callbacks."""
        others, held_out = self.others, self.held_out
        if others.labels is None or others is held_out:
            return []
        rows = np.flatnonzero(others.labels >= 0)
        rows = rows[np.linspace(0, len(rows) - 1, min(MAX_BANK, len(rows))).astype(int)]
        known = np.flatnonzero(np.isin(held_out.labels, np.unique(others.labels[rows])))
        if not len(rows) or not len(known):
            return []
        bank, queries = (
            ViewBatches(part, None, self.view, 100)
            for part in (others.subset(rows), held_out.subset(known))
        )
        k = min(20, len(rows))
        return [KNNEvaluation(bank, queries, every_n_epochs=every, networks="student", k=k)]


def training_seconds(minutes):
    """The part of a time limit for training; the report takes the rest."""
    seconds = 60 * minutes
    report = max(REPORT_SHARE * seconds, min(MAX_REPORT_SHARE * seconds, REPORT_SECONDS))
    return seconds - report if math.isfinite(seconds) else math.inf


def _whole_groups(groups, order, count):
    """The rows of about `count` images to hold out: of whole groups, if there are enough of them.

    Images of one group, such as the tiles of a slide, resemble each other, so that held-out ones
    would be found by those of their group. With few groups, or large ones, the first rows are held
    out.
    """
    if groups is None or len(np.unique(groups)) < MIN_GROUPS:
        return order[:count]
    chosen: list[int] = []
    sizes = np.bincount(groups)
    for group in dict.fromkeys(groups[order].tolist()):
        if len(chosen) < count and len(chosen) + sizes[group] <= 2 * count:
            chosen.extend(np.flatnonzero(groups == group))
    return np.array(chosen) if 2 * len(chosen) >= count else order[:count]


def makes_views_in_step():
    """Whether views are made on the device: if there is no TensorFlow to make them on the host."""
    return importlib.util.find_spec("tensorflow") is None


def _make_backbone(settings, channels):
    shape = (settings.size, settings.size, channels)
    if settings.network == "convnet":
        # One more stage for larger images, so that each stage sees as much of them.
        stages = 4 if settings.size < 64 else 5
        return ConvNet(shape, tuple(16 * 2**stage for stage in range(stages)))
    network = ResNet50 if settings.network == "resnet50" else ResNet18
    return network(shape, stem="small" if settings.size <= SMALL else "imagenet")


def _tensorboard(folder):
    """The callback for TensorBoard, which Keras writes with TensorFlow; none on JAX."""
    packages = ("tensorboard", "tensorflow")
    if any(importlib.util.find_spec(name) is None for name in packages):
        return []
    if keras.backend.backend() == "jax":
        return []
    return [keras.callbacks.TensorBoard(folder / "tensorboard")]
