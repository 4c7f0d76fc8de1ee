"""Trains ISD on CIFAR-10 or CIFAR-100 and says what the features are worth.

    python examples/cifar.py --preset=cpu     # about eight minutes on two cores
    python examples/cifar.py --preset=full    # the recipe cifar_resnet18: 200 epochs, for a GPU

The data come through TensorFlow Datasets; `--data_dir=DIR` says where they are or are to go.
The table holds accuracies of k-nearest-neighbour classifiers on the test images: one and twenty
neighbours of one vote each, and the 200 weighted ones that are the custom for CIFAR.
"""

import dataclasses
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up chatter

import keras
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import app, flags

import keras_isd
from keras_isd import augmentation


@dataclasses.dataclass(frozen=True)
class Preset:
    """Scale of a run; what is None is the recipe's."""

    filters: tuple[int, ...] | None = None  # of a ConvNet, instead of the recipe's ResNet
    train_images: int | None = None
    test_images: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    queue_size: int | None = None


PRESETS = {
    "full": Preset(),
    # A ResNet, however narrow, learns little in so few steps.
    "cpu": Preset(
        filters=(24, 48, 96, 192),
        train_images=10_000,
        test_images=2_000,
        epochs=30,
        batch_size=64,
        queue_size=4096,
    ),
    # For a test of the program; learns nothing.
    "smoke": Preset(
        filters=(8, 16), train_images=256, test_images=64, epochs=1, batch_size=64, queue_size=128
    ),
}

PRESET = flags.DEFINE_enum("preset", "full", list(PRESETS), "Scale of the run.")
DATASET = flags.DEFINE_enum("dataset", "cifar10", ["cifar10", "cifar100"], "What to train on.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps the data.")
EPOCHS = flags.DEFINE_integer("epochs", None, "Passes over the images, instead of the preset's.")
SEED = flags.DEFINE_integer("seed", 0, "Fixes weights, order and views, and so the run.")
PLOT_VIEWS = flags.DEFINE_string("plot_views", None, "Where to save a picture of some views.")
RESUME = flags.DEFINE_string("resume", None, "Folder of checkpoints to go on from, and to write.")
OUTPUT = flags.DEFINE_string("output", "runs/cifar.keras", "Where the trained model is saved.")


def load(split, count):
    """All or the first `count` images `(N, 32, 32, 3)` uint8 of a split, and their labels."""
    dataset = tfds.load(
        DATASET.value,
        split=split if count is None else f"{split}[:{count}]",
        data_dir=DATA_DIR.value,
        as_supervised=True,
        batch_size=-1,
    )
    return tfds.as_numpy(dataset)


def knn_table(model, train, test):
    """Accuracies of the features of the student by three k-NN classifiers."""
    normalise = augmentation.evaluation(32, augmentation.CIFAR10)

    def features(images):
        batches = tf.data.Dataset.from_tensor_slices(images).batch(500).map(normalise)
        return model.predict(batches, verbose=0)

    bank, queries = features(train[0]), features(test[0])
    classifiers = {
        "1-NN": {"k": 1},
        "20-NN": {"k": 20},
        "200-NN, weighted": {"k": min(200, len(bank)), "temperature": 0.1},
    }
    return {
        name: keras_isd.evaluation.knn_accuracy(bank, train[1], queries, test[1], **arguments)[
            "top1"
        ]
        for name, arguments in classifiers.items()
    }


def main(_):
    keras.utils.set_random_seed(SEED.value)
    preset, recipe = PRESETS[PRESET.value], keras_isd.recipes.get_recipe("cifar_resnet18")
    epochs = EPOCHS.value or preset.epochs or recipe.epochs
    train, test = load("train", preset.train_images), load("test", preset.test_images)

    def two_views(**order):
        return keras_isd.data.two_view_dataset(
            keras_isd.data.from_arrays(*train),
            query=augmentation.strong(32, augmentation.CIFAR10, blur=0),
            key=augmentation.weak(32, augmentation.CIFAR10),
            batch_size=preset.batch_size or recipe.batch_size,
            seed=SEED.value,
            **order,
        )

    if PLOT_VIEWS.value:
        keras_isd.visualization.plot_views(
            two_views(shuffle_buffer=0),
            statistics=augmentation.CIFAR10,
            originals=train[0],
            path=PLOT_VIEWS.value,
        )
    resume = RESUME.value and keras_isd.callbacks.Resume(RESUME.value, every_n_steps=100)
    initial_epoch = resume.initial_epoch if resume else 0
    batches = two_views(
        initial_epoch=initial_epoch, initial_step=resume.initial_step if resume else 0
    )
    small = keras_isd.backbones.ConvNet((32, 32, 3), preset.filters) if preset.filters else None
    model = keras_isd.ISDModel.from_recipe(
        "cifar_resnet18",
        backbone=small,
        queue_size=preset.queue_size or recipe.model["queue_size"],
    )
    model.compile(
        keras_isd.optimizers.from_recipe(
            "cifar_resnet18", steps_per_epoch=len(batches), epochs=epochs
        )
    )
    before = knn_table(model, train, test)
    model.fit(
        batches,
        epochs=epochs,
        initial_epoch=initial_epoch,
        shuffle=False,  # the pipeline shuffles
        callbacks=[resume] if resume else [],
    )
    after = knn_table(model, train, test)

    print(f"\n{len(train[0]):,} training and {len(test[0]):,} test images of {DATASET.value}")
    print(f"{'':<18}{'untrained':>10}{'trained':>10}")
    for name in before:
        print(f"{name:<18}{before[name]:>10.3f}{after[name]:>10.3f}")
    os.makedirs(os.path.dirname(OUTPUT.value) or ".", exist_ok=True)
    model.save(OUTPUT.value)
    print(f"saved {OUTPUT.value}: keras.models.load_model(...).student_backbone has the features")


if __name__ == "__main__":
    app.run(main)
