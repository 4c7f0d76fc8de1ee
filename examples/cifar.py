"""Trains ISD, MoCo v2 or BYOL on CIFAR-10 or CIFAR-100 and says what the features are worth.

    python examples/cifar.py --preset=cpu     # about eight minutes on two cores
    python examples/cifar.py --preset=full    # the recipe cifar_resnet18: 200 epochs, for a GPU
    python examples/cifar.py --flagfile=examples/recipes/FILE    # a recipe whose result is known

The data come through TensorFlow Datasets; `--data_dir=DIR` says where they are or are to go.
The table holds accuracies of k-nearest-neighbour classifiers: one and twenty neighbours of one vote
each, and the 200 weighted ones that are the custom for CIFAR; after training on an unbalanced
`--subset` also those of one neighbour over all classes and over the rare ones alone. Beside the
model come its metrics by epoch (`.csv`), and the table with all flags and versions (`.json`), of
which `examples/cifar_table.py` makes tables of many runs.
"""

import quiet_start  # noqa: F401, before all else

# isort: split
import dataclasses
import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow_datasets as tfds
from absl import app, flags

import keras_isd
from keras_isd import augmentation, evaluation


@dataclasses.dataclass(frozen=True)
class Preset:
    """Scale of a run; what is None is the recipe's."""

    filters: tuple[int, ...] | None = None  # of a ConvNet, instead of the recipe's ResNet
    train_images: int | None = None
    test_images: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    model: dict = dataclasses.field(default_factory=dict)


PRESETS = {
    "full": Preset(),
    # A ResNet, however narrow, learns little in so few steps.
    "cpu": Preset(
        filters=(24, 48, 96, 192),
        train_images=10_000,
        test_images=2_000,
        epochs=30,
        batch_size=64,
        model={"queue_size": 4096},
    ),
    # What RESULTS.md compares methods at: some three minutes on one core.
    "comparison": Preset(
        filters=(16, 32, 64, 128),
        train_images=10_000,
        test_images=5_000,
        epochs=15,
        batch_size=64,
        model={"queue_size": 4096},
    ),
    # For a test of the program; learns nothing.
    "smoke": Preset(
        filters=(8, 16),
        train_images=256,
        test_images=64,
        epochs=1,
        batch_size=64,
        model={"queue_size": 128},
    ),
}
METHODS = {
    "isd": (keras_isd.ISDModel, "cifar_resnet18"),
    "moco": (keras_isd.baselines.MoCoModel, "moco_cifar_resnet18"),
    "byol": (keras_isd.baselines.BYOLModel, "byol_cifar_resnet18"),
}
VIEWS = {
    "strong": augmentation.strong(32, augmentation.CIFAR10, blur=0),
    "weak": augmentation.weak(32, augmentation.CIFAR10),
}
LARGE_CLASSES = (0, 1)  # of the subset "two_large"
HELD_OUT = 5_000  # training images at the end of the split, for choices that tests are no part of

PRESET = flags.DEFINE_enum("preset", "full", list(PRESETS), "Scale of the run.")
METHOD = flags.DEFINE_enum("method", "isd", list(METHODS), "How to learn.")
DATASET = flags.DEFINE_enum("dataset", "cifar10", ["cifar10", "cifar100"], "What to train on.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps the data.")
SUBSET = flags.DEFINE_enum(
    "subset",
    "all",
    ["all", "two_large", "long_tail"],
    "Images to train on: all; two classes whole and 100 images of each other one; or classes that "
    "shrink to a hundredth. Of the second and third the preset takes none away.",
)
QUERIES = flags.DEFINE_enum(
    "queries",
    "test",
    ["test", "validation"],
    "Images of the table: the test set, or the last 5,000 training images, then not trained on.",
)
EPOCHS = flags.DEFINE_integer("epochs", None, "Passes over the images, instead of the preset's.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", None, "Instead of the recipe's.")
VIEW_PAIR = flags.DEFINE_list("views", None, "Query's,key's: strong,weak; the recipe's if none.")
HEADS_OF = flags.DEFINE_string("heads_of", None, "Recipe to take projector and predictor from.")
SET = flags.DEFINE_list("set", [], "Arguments of the model as NAME=JSON: queue_size=2048,...")
KNN_EVERY = flags.DEFINE_integer("knn_every", 0, "Epochs between k-NN accuracies; 0 for none.")
SEED = flags.DEFINE_integer("seed", 0, "Fixes weights, order and views, and so the run.")
PLOT_VIEWS = flags.DEFINE_string("plot_views", None, "Where to save a picture of some views.")
RESUME = flags.DEFINE_string("resume", None, "Folder of checkpoints to go on from, and to write.")
OUTPUT = flags.DEFINE_string("output", "runs/cifar.keras", "Where the trained model is saved.")


def load(split):
    """Images `(N, 32, 32, 3)` uint8 of a split, and their labels."""
    dataset = tfds.load(
        DATASET.value, split=split, data_dir=DATA_DIR.value, as_supervised=True, batch_size=-1
    )
    return tfds.as_numpy(dataset)


def sets(preset):
    """Images and labels: to train on, to compare with, to classify; and the rare classes."""
    held_out = -HELD_OUT if QUERIES.value == "validation" else None
    images, labels = load("train")
    queries = load("test") if held_out is None else (images[held_out:], labels[held_out:])
    images, labels = images[:held_out], labels[:held_out]
    bank = train = images[: preset.train_images], labels[: preset.train_images]
    rare = []
    if SUBSET.value != "all":
        if SUBSET.value == "two_large":
            rows = keras_isd.data.unbalanced(labels, LARGE_CLASSES, 100, SEED.value)
        else:
            rows = keras_isd.data.long_tail(labels, 100, SEED.value)
        train = images[rows], labels[rows]
        counts = np.bincount(train[1])
        rare = np.flatnonzero(counts <= max(100, counts.max() // 10)).tolist()
    return train, bank, [part[: preset.test_images] for part in queries], rare


def labelled(images, labels):
    """Batches of images as the backbone sees them, and their labels."""
    view = augmentation.evaluation(32, augmentation.CIFAR10)
    return keras_isd.data.one_view_dataset(keras_isd.data.from_arrays(images, labels), view, 500)


def accuracies(backbone, bank, queries, rare):
    """Accuracies of a network's features by several k-NN classifiers."""
    bank, queries = (
        evaluation.extract_features(backbone, labelled(*part), verbose=0)[:2]
        for part in (bank, queries)
    )
    weighted = {"k": min(200, len(bank[0])), "temperature": 0.1}
    found = {
        "1-NN": evaluation.knn_accuracy(*bank, *queries, k=1)["top1"],
        "20-NN": evaluation.knn_accuracy(*bank, *queries, k=20)["top1"],
        "200-NN, weighted": evaluation.knn_accuracy(*bank, *queries, **weighted)["top1"],
    }
    if rare:
        both = evaluation.unbalanced_accuracy(*bank, *queries, rare_classes=rare)
        found |= {"1-NN, all classes": both["all"], "1-NN, rare classes": both["rare"]}
    return found


def two_views(train, recipe, preset, **order):
    query, key = VIEW_PAIR.value or recipe.views
    return keras_isd.data.two_view_dataset(
        keras_isd.data.from_arrays(*train),
        query=VIEWS[query],
        key=VIEWS[key],
        batch_size=preset.batch_size or recipe.batch_size,
        seed=SEED.value,
        **order,
    )


def make_model(preset, epochs, steps_per_epoch):
    """The compiled model of the recipe, with what preset and flags change."""
    model_class, name = METHODS[METHOD.value]
    arguments = {}
    if preset.filters:
        arguments["backbone"] = keras_isd.backbones.ConvNet((32, 32, 3), preset.filters)
    known = keras_isd.recipes.get_recipe(name).model
    arguments |= {name: value for name, value in preset.model.items() if name in known}
    if HEADS_OF.value:
        width = preset.filters[-1] if preset.filters else 512
        heads = keras_isd.recipes.get_recipe(HEADS_OF.value).heads(width)
        arguments |= {"projector": None, "predictor": None, **heads}
    arguments |= {name: json.loads(value) for name, value in (s.split("=", 1) for s in SET.value)}
    model = model_class.from_recipe(name, **arguments)
    model.compile(
        keras_isd.optimizers.from_recipe(
            name, steps_per_epoch, epochs, learning_rate=LEARNING_RATE.value
        )
    )
    return model


def main(_):
    keras.utils.set_random_seed(SEED.value)
    preset = PRESETS[PRESET.value]
    recipe = keras_isd.recipes.get_recipe(METHODS[METHOD.value][1])
    epochs = EPOCHS.value or preset.epochs or recipe.epochs
    train, bank, queries, rare = sets(preset)
    if PLOT_VIEWS.value:
        keras_isd.visualization.plot_views(
            two_views(train, recipe, preset, shuffle_buffer=0),
            statistics=augmentation.CIFAR10,
            originals=train[0],
            path=PLOT_VIEWS.value,
        )
    resume = RESUME.value and keras_isd.callbacks.Resume(RESUME.value, every_n_steps=100)
    place = {name: getattr(resume, name, 0) for name in ("initial_epoch", "initial_step")}
    batches = two_views(train, recipe, preset, **place)
    model = make_model(preset, epochs, len(batches))
    output = pathlib.Path(OUTPUT.value)
    output.parent.mkdir(parents=True, exist_ok=True)
    before = accuracies(model.student_backbone, bank, queries, rare)
    callbacks = [resume] if resume else []
    if KNN_EVERY.value:
        parts = [labelled(*part) for part in (bank, queries)]
        callbacks.append(keras_isd.callbacks.KNNEvaluation(*parts, every_n_epochs=KNN_EVERY.value))
    callbacks.append(keras.callbacks.CSVLogger(output.with_suffix(".csv"), append=bool(resume)))
    model.fit(
        batches,
        epochs=epochs,
        initial_epoch=place["initial_epoch"],
        shuffle=False,  # the pipeline shuffles
        callbacks=callbacks,
    )
    columns = {
        "untrained": before,
        "student": accuracies(model.student_backbone, bank, queries, rare),
        "teacher": accuracies(model.teacher_backbone, bank, queries, rare),
    }
    report(columns, f"{len(train[0]):,} training and {len(queries[0]):,} {QUERIES.value} images")
    facts = {"keras_isd": keras_isd.__version__, "keras": keras.__version__, "epochs": epochs}
    facts |= {"backend": keras.backend.backend(), "batch_size": batches.element_spec[1].shape[0]}
    given = {flag.name: flag.value for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])}
    text = json.dumps({"accuracies": columns, "flags": given, **facts}, indent=1)
    output.with_suffix(".json").write_text(text)
    model.save(output)
    print(f"saved {output}: keras.models.load_model(...).student_backbone has the features")


def report(columns, title):
    print(f"\n{title} of {DATASET.value}, {METHOD.value}")
    print(f"{'':<20}" + "".join(f"{name:>10}" for name in columns))
    for row in columns["student"]:
        print(f"{row:<20}" + "".join(f"{found[row]:>10.3f}" for found in columns.values()))


if __name__ == "__main__":
    app.run(main)
