"""Trains a method on CIFAR-10 or CIFAR-100 and measures its features, as RESULTS.md reports them.

    python experiments/cifar.py --configuration=comparison_isd    # see configurations.py
    python experiments/cifar.py --preset=comparison --method=moco --subset=long_tail

The data come from TensorFlow Datasets, stored in `--data_dir=DIR`. On an accelerator
`--views_on=device --policy=mixed_bfloat16` is the fast way; with `--arrays=FILE.npz` it does not
import TensorFlow under another backend. `examples/cifar.py` is a short example of the same.

The printed table holds accuracies of k-nearest-neighbour classifiers: 1 and 20 neighbours with
one vote each, and 200 weighted ones, as is usual for CIFAR; after training on an unbalanced
`--subset` also those of one neighbour over all classes and over the rare classes. Next to the model
the run writes its metrics by epoch (`.csv`), and the table with all flags and versions (`.json`):
`experiments/cifar_table.py` makes tables of many runs from these files, and
`experiments/gpu_tables.py` makes the runs for a table one after another.
"""

from keras_isd_start import quiet_start

with quiet_start():
    import keras

import json
import os
import pathlib
import statistics
import sys
import time

import cifar_images
import cifar_model
import configurations
from absl import app, flags

import keras_isd
from keras_isd import augmentation, evaluation, visualization
from keras_isd.files import write_text

MORE_TO_DO = getattr(os, "EX_TEMPFAIL", 75)  # Windows does not define it
WARMUP_STEPS = 2  # untimed steps at the start of each epoch: in the first epoch they compile
# Flags that may differ when a run resumes: paths, evaluation, precision, the length of the run,
# and those whose effect is in the recorded settings.
MAY_DIFFER = ["output", "resume", "configuration", "data_dir", "arrays", "policy", "knn_every"]
MAY_DIFFER += ["teacher_features", "plot_views", "epochs", "minutes"]
MAY_DIFFER += ["set", "learning_rate", "views"]

SEVERAL = ("query_views", "key_views", "small_views")  # arguments that batches must fit

CONFIGURATION = flags.DEFINE_enum(
    "configuration", None, configurations.names("experiments/cifar.py"), "Flags to set."
)
KNN_EVERY = flags.DEFINE_integer("knn_every", 0, "Epochs between k-NN accuracies; 0 disables them.")
PLOT_VIEWS = flags.DEFINE_string("plot_views", None, "Where to save a picture of some views.")
RESUME = flags.DEFINE_string("resume", None, "Folder of checkpoints to write and to resume from.")
MINUTES = flags.DEFINE_float(
    "minutes",
    None,
    "Stop after the last epoch that fits into this many minutes, but not before the first epoch, "
    f"with exit status {MORE_TO_DO}; the same command resumes. Requires --resume.",
    0,
)
OUTPUT = flags.DEFINE_string("output", "runs/cifar.keras", "File `.keras` for the trained model.")
flags.adopt_module_key_flags(cifar_images)
flags.adopt_module_key_flags(cifar_model)
_started = time.monotonic()  # as close to the start of the process as this file can measure


@flags.validator("output", "must end in .keras, so that hours of training can be saved there")
def _can_be_saved(path):
    return path.endswith(".keras")


class RunTime(keras.callbacks.Callback):
    """Logs `images_per_second` of each epoch, and stops before an epoch that does not fit.

    Must come before the callbacks that use its logs. No step waits for it.

    Args:
        batch_size: int.
        minutes: float, from the start of the program, or None for no limit.

    Attributes:
        stopped: bool, whether epochs are left for which there was no time.
    """

    remembered = ()  # `Resume` restores no attributes of this callback

    def __init__(self, batch_size, minutes=None):
        super().__init__()
        self.batch_size = batch_size
        self.deadline = None if minutes is None else _started + 60 * minutes
        self.stopped = False
        self.between = 0.0  # seconds from one epoch to the next, which checkpoints take
        self.ended = None

    def on_epoch_begin(self, epoch, logs=None):
        self.timed_from = time.monotonic()
        self.timed_steps = 0
        self.first_timed = WARMUP_STEPS if self.params["steps"] > WARMUP_STEPS else 0
        if self.ended is not None:
            self.between = self.timed_from - self.ended

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.first_timed:
            self.timed_from = time.monotonic()
            self.timed_steps = 0
        self.timed_steps += 1  # counted, since an epoch resumed in the middle has fewer

    def on_epoch_end(self, epoch, logs=None):
        self.ended = time.monotonic()  # the logs are numbers, so the device has finished
        seconds = (self.ended - self.timed_from) / self.timed_steps
        logs["images_per_second"] = self.batch_size / seconds
        left = self.params["epochs"] - epoch - 1
        needed = self.params["steps"] * seconds + self.between
        if self.deadline is not None and left and self.ended + needed > self.deadline:
            self.stopped = self.model.stop_training = True


def knn_accuracies(backbone, images):
    """Accuracies of several k-NN classifiers on a network's features."""
    bank, queries = (
        evaluation.extract_features(backbone, cifar_images.evaluation_batches(*part), verbose=0)[:2]
        for part in (images.bank, images.queries)
    )
    results = evaluation.knn_accuracies(*bank, *queries)
    accuracies = {name: result["top1"] for name, result in results.items()}
    if images.rare:
        both = evaluation.unbalanced_accuracy(*bank, *queries, rare_classes=images.rare)
        accuracies |= {"1-NN, all classes": both["all"], "1-NN, rare classes": both["rare"]}
    return accuracies


def record_run(facts, resume):
    """Writes the facts of a run next to its checkpoints, if those are its own."""
    try:
        ignored = [f"flags.{name}" for name in MAY_DIFFER] + ["settings.epochs"]
        path = resume.directory / "run.json"
        keras_isd.callbacks.record_run(path, facts, resume, ignore=ignored)
    except ValueError as error:
        raise app.UsageError(f"--resume must be a folder of the same run. {error}") from None


def make_callbacks(resume, run_time, images, log):
    """The callbacks of `fit`; `run_time` comes first, since its values are logged."""
    callbacks = [run_time, *([resume] if resume else [])]
    if KNN_EVERY.value:
        parts = [cifar_images.evaluation_batches(*part) for part in (images.bank, images.queries)]
        callbacks.append(keras_isd.callbacks.KNNEvaluation(*parts, every_n_epochs=KNN_EVERY.value))
    return [*callbacks, keras.callbacks.CSVLogger(log, append=bool(resume))]


def main(_):
    configurations.apply(CONFIGURATION.value)
    if MINUTES.value is not None and not RESUME.value:
        raise app.UsageError("--minutes requires --resume. Received: None")
    output = pathlib.Path(OUTPUT.value)
    output.parent.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(cifar_images.SEED.value)
    preset = configurations.PRESETS[cifar_model.PRESET.value]
    recipe = keras_isd.recipes.get_recipe(cifar_model.RECIPES[cifar_model.METHOD.value])
    settings = cifar_model.resolve_settings(preset, recipe)
    images = cifar_images.select_images(preset.train_images, preset.test_images)
    features = None
    if cifar_model.METHOD.value == "distillation":
        features, settings["teacher_features"] = cifar_model.load_teacher_features(
            images.rows, images.split_size
        )
    given = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    facts = keras_isd.callbacks.run_facts(
        flags={flag.name: flag.value for flag in given},
        settings=settings,
        data=[cifar_images.fingerprint(part[0]) for part in (images.bank, images.queries)],
    )
    views, batch_size = settings["views"], settings["batch_size"]
    if PLOT_VIEWS.value:
        visualization.plot_views(
            cifar_images.two_view_batches(images.train, views, batch_size, shuffle_buffer=0),
            statistics=augmentation.CIFAR10,
            originals=images.train[0],
            path=PLOT_VIEWS.value,
        )
    # ArrayBatches resumes only at the start of an epoch.
    steps = 100 if cifar_images.VIEWS_ON.value == "host" else None
    resume = RESUME.value and keras_isd.callbacks.Resume(RESUME.value, every_n_steps=steps)
    if resume:
        record_run(facts, resume)
    start = {name: getattr(resume, name, 0) for name in ("initial_epoch", "initial_step")}
    batches = cifar_images.training_batches(
        images.train,
        features,
        views,
        batch_size,
        {n: settings["model"][n] for n in SEVERAL if n in settings["model"]},
        **start,
    )
    model = cifar_model.make_model(preset, settings, features, len(batches))
    before = knn_accuracies(model.student_backbone, images)
    run_time = RunTime(batch_size, MINUTES.value)
    log = output.with_suffix(".csv")
    model.fit(
        batches,
        epochs=settings["epochs"],
        initial_epoch=start["initial_epoch"],
        shuffle=False,  # the batches are shuffled
        callbacks=make_callbacks(resume, run_time, images, log),
    )
    if run_time.stopped:
        print(f"Stopped at the time limit; the same command resumes from {RESUME.value}")
        return MORE_TO_DO
    columns = {
        "before" if cifar_model.BACKBONE_OF.value else "untrained": before,
        "student": knn_accuracies(model.student_backbone, images),
    }
    if model.teacher_backbone is not None:  # None if the teacher is only its features
        columns["teacher"] = knn_accuracies(model.teacher_backbone, images)
    print_table(columns, len(images.train[0]), len(images.queries[0]))
    model.save(output)
    # A resumed run may have no epoch left, or a log that was started without rates.
    rates = visualization.read_csv_log(log).get("images_per_second")
    speed = {"images_per_second": statistics.median(rates)} if rates else {}
    results = {"accuracies": columns, **speed, **facts}
    write_text(output.with_suffix(".json"), json.dumps(results, indent=1))  # last: marks completion
    print(f"Saved {output}; keras.models.load_model(...).student_backbone is the trained network")
    return 0


def print_table(columns, train_count, query_count):
    kind = f"{cifar_images.QUERIES.value} images of {cifar_images.DATASET.value}"
    print(f"\n{train_count:,} training and {query_count:,} {kind}, {cifar_model.METHOD.value}")
    print(f"{'':<20}" + "".join(f"{name:>10}" for name in columns))
    for row in columns["student"]:
        cells = "".join(f"{accuracies[row]:>10.3f}" for accuracies in columns.values())
        print(f"{row:<20}{cells}")


if __name__ == "__main__":
    app.run(main)
