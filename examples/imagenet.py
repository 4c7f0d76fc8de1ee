"""Trains ISD, MoCo v2 or BYOL on ImageNet, or on any folder of photographs.

    python examples/imagenet.py --image_folder=/data/imagenet --recipe=resnet50
    python examples/imagenet.py --preset=smoke --image_folder=DIR    # a minute, learns nothing

`--image_folder` is a folder in ImageNet's layout, `train/CLASS/*.JPEG`, or of images without
classes; without it the program reads `imagenet2012` of TensorFlow Datasets from `--data_dir`.
`--output` is the folder of the run: flags, versions and seed (`run.json`), metrics by epoch
(`metrics.csv`, and for TensorBoard), checkpoints to resume from, and the model (`model.keras`).

Several devices: `--strategy=mirrored`, or `multi_worker` and `tpu` with TensorFlow's own TF_CONFIG
or TPU_NAME in the environment. On JAX the program uses all devices.
"""

from keras_isd_start import quiet_start

with quiet_start():
    import keras
    import tensorflow as tf
    import tensorflow_datasets as tfds

import contextlib
import dataclasses
import pathlib
import sys

import numpy as np
from absl import app, flags, logging

import keras_isd
from keras_isd import augmentation


@dataclasses.dataclass(frozen=True)
class Preset:
    """Scale of a run; where a value is None, the recipe's applies."""

    size: int = 224
    width: int = 64  # channels of the ResNet's first stage
    epochs: int | None = None
    batch_size: int | None = None
    queue_size: int | None = None


PRESETS = {"full": Preset(), "smoke": Preset(64, 8, 1, 16, 64)}
RECIPES = [
    name
    for name, recipe in keras_isd.recipes.RECIPES.items()
    if recipe.input_shape[0] == 224 and recipe.method is not keras_isd.DistillationModel
]
KNN_BANK, KNN_QUERIES = 20_000, 5_000  # at most, for the accuracy during training

# Flags that may differ when a run resumes: paths, evaluation, devices, precision, its length.
MAY_DIFFER = ["output", "resume", "data_dir", "image_folder", "policy", "strategy", "knn_every"]
MAY_DIFFER += ["epochs"]

PRESET = flags.DEFINE_enum("preset", "full", list(PRESETS), "Scale of the run.")
RECIPE = flags.DEFINE_enum("recipe", "resnet50", RECIPES, "Network, heads, schedule and views.")
IMAGE_FOLDER = flags.DEFINE_string("image_folder", None, "Folder of images, instead of TFDS.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps the data.")
STRATEGY = flags.DEFINE_enum(
    "strategy", "one", ["one", "mirrored", "multi_worker", "tpu"], "Strategy of tf.distribute."
)
POLICY = flags.DEFINE_string("policy", "float32", "Or mixed_bfloat16, mixed_float16.")
EPOCHS = flags.DEFINE_integer(
    "epochs", None, "Passes over the images in all, instead of the recipe's.", 1
)
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "Images of a step on all devices; scales the learning rate."
)
QUEUE_SIZE = flags.DEFINE_integer(
    "queue_size",
    None,
    "Anchors; by default the recipe's, and at most half as many as images.",
)
WARMUP = flags.DEFINE_float("warmup_epochs", 0, "Epochs in which the learning rate rises.")
KNN_EVERY = flags.DEFINE_integer("knn_every", 5, "Epochs between k-NN accuracies; 0 disables them.")
SEED = flags.DEFINE_integer("seed", 0, "Determines weights, order and views, and so the run.")
RESUME = flags.DEFINE_bool("resume", False, "Resume from the newest checkpoint of the folder.")
OUTPUT = flags.DEFINE_string("output", "runs/imagenet", "Folder of the run.")


def make_strategy():
    """The strategy, or None for one device and on other backends."""
    if STRATEGY.value == "one":
        return None
    if keras.backend.backend() != "tensorflow":
        raise app.UsageError(
            "--strategy requires TensorFlow; on JAX leave it out. "
            f"Received: --strategy={STRATEGY.value} with {keras.backend.backend()}"
        )
    if STRATEGY.value == "mirrored":
        return tf.distribute.MirroredStrategy()
    if STRATEGY.value == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def load_images():
    """Images to train on, and the bank and the queries of k-NN, or None without labels."""
    if IMAGE_FOLDER.value is None:
        training = {"data_dir": DATA_DIR.value, "as_supervised": True}
        parts = (f"train[:{KNN_BANK}]", f"validation[:{KNN_QUERIES}]")
        return (
            tfds.load("imagenet2012", split="train", **training),
            *(tfds.load("imagenet2012", split=part, **training) for part in parts),
        )
    split = "train" if pathlib.Path(IMAGE_FOLDER.value, "train").is_dir() else None
    source = keras_isd.data.from_folder(IMAGE_FOLDER.value, split)
    if source.labels is None:
        return source, None, None
    order = np.random.RandomState(0).permutation(len(source))
    _, firsts = np.unique(source.labels[order], return_index=True)
    firsts, others = order[firsts], np.delete(order, firsts)
    if pathlib.Path(IMAGE_FOLDER.value, "val").is_dir():
        queries = keras_isd.data.from_folder(
            IMAGE_FOLDER.value, "val", class_names=source.class_names
        )
        some = np.random.RandomState(0).permutation(len(queries))[:KNN_QUERIES]
        count, queries = 0, queries.subset(some)
    else:  # some of the training images
        count = min(KNN_QUERIES, len(source) // 5, len(others))
        queries = source.subset(others[:count]) if count else None
    # One image of each class comes first, so that the bank has every class of the queries.
    bank = np.concatenate([firsts, others[count:]])[:KNN_BANK]
    return source, source.subset(bank), queries


def choose_queue_size(recipe, preset, images):
    """Few enough anchors that an image is seldom compared with its own stale embeddings."""
    if QUEUE_SIZE.value or preset.queue_size:
        return QUEUE_SIZE.value or preset.queue_size
    return max(1, min(recipe.model["queue_size"], images // 2))


def make_model(recipe, preset, epochs, batch_size, steps_per_epoch):
    """The compiled model of the recipe, in the policy and at the scale that are asked for."""
    keras.mixed_precision.set_global_policy(POLICY.value)
    shape = (preset.size, preset.size, 3)
    arguments = {"backbone": recipe.backbone(shape, width=preset.width)}
    if "queue_size" in recipe.model:
        arguments["queue_size"] = choose_queue_size(recipe, preset, batch_size * steps_per_epoch)
    if "shuffle_groups" in recipe.model:  # which several replicas are by themselves
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        groups = max(1, recipe.model["shuffle_groups"] // replicas)
        arguments["shuffle_groups"] = groups if batch_size // replicas % groups == 0 else 1
    model = recipe.method.from_recipe(RECIPE.value, seed=SEED.value, **arguments)
    optimizer = keras_isd.optimizers.from_recipe(
        RECIPE.value,
        steps_per_epoch,
        epochs,
        batch_size=batch_size,
        warmup_epochs=WARMUP.value,
    )
    model.compile(optimizer)
    return model


def make_callbacks(folder, preset, resume, bank, queries):
    callbacks = [resume, keras_isd.callbacks.HealthMonitor(stop_on_collapse=True)]
    if KNN_EVERY.value and queries is None:
        print("no k-NN accuracy during training: there are no labels, or one image of each class")
    elif KNN_EVERY.value:
        view = augmentation.evaluation(preset.size, fraction=224 / 256)
        parts = [keras_isd.data.one_view_dataset(part, view, 100) for part in (bank, queries)]
        arguments = {"every_n_epochs": KNN_EVERY.value, "k": min(20, len(bank))}
        callbacks.append(keras_isd.callbacks.KNNEvaluation(*parts, **arguments))
    csv = keras.callbacks.CSVLogger(folder / "metrics.csv", append=RESUME.value)
    return [*callbacks, csv, keras.callbacks.TensorBoard(folder / "tensorboard")]


def record_run(path, resume):
    """Writes the run's flags and versions next to its checkpoints, if those are its own."""
    given = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    facts = keras_isd.callbacks.run_facts(flags={flag.name: flag.value for flag in given})
    try:
        ignored = [f"flags.{name}" for name in MAY_DIFFER]
        keras_isd.callbacks.record_run(path, facts, resume, ignore=ignored)
    except ValueError as error:
        raise app.UsageError(f"--resume must be a folder of the same run. {error}") from None


def main(_):
    logging.set_verbosity(logging.WARNING)  # TensorFlow Datasets logs every file
    keras.utils.set_random_seed(SEED.value)
    preset, recipe = PRESETS[PRESET.value], keras_isd.recipes.get_recipe(RECIPE.value)
    folder = pathlib.Path(OUTPUT.value)
    checkpoints = folder / "checkpoints"
    if checkpoints.is_dir() and any(checkpoints.iterdir()) and not RESUME.value:
        raise app.UsageError(
            f"--output must be a folder without checkpoints, or add --resume. Received: {folder}"
        )
    if IMAGE_FOLDER.value and not pathlib.Path(IMAGE_FOLDER.value).is_dir():
        raise app.UsageError(f"--image_folder must be a folder. Received: {IMAGE_FOLDER.value}")
    strategy = make_strategy()  # first: a worker must not compute anything before it
    if keras.backend.backend() == "jax" and len(keras.distribution.list_devices()) > 1:
        keras.distribution.set_distribution(keras.distribution.DataParallel())
    own = folder
    if strategy and not strategy.extended.should_checkpoint:  # any worker but the first
        own = folder / f"worker_{strategy.cluster_resolver.task_id}"
    own.mkdir(parents=True, exist_ok=True)
    resume = keras_isd.callbacks.Resume(checkpoints, every_n_steps=1000)
    record_run(own / "run.json", resume)
    training, bank, queries = load_images()
    batch_size = BATCH_SIZE.value or preset.batch_size or recipe.batch_size
    epochs = EPOCHS.value or preset.epochs or recipe.epochs
    batches = keras_isd.data.two_view_dataset(
        training,
        *(view(preset.size) for view in recipe.views),
        batch_size=batch_size,
        seed=SEED.value,
        initial_epoch=resume.initial_epoch,
        initial_step=resume.initial_step,
    )
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = make_model(recipe, preset, epochs, batch_size, len(batches))
    model.fit(
        batches,
        epochs=epochs,
        initial_epoch=resume.initial_epoch,
        shuffle=False,  # the batches are shuffled
        callbacks=make_callbacks(own, preset, resume, bank, queries),
    )
    model.save(own / "model.keras")
    print(f"Saved {own / 'model.keras'}")


if __name__ == "__main__":
    app.run(main)
