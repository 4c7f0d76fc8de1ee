"""Learns features of CIFAR-10 or CIFAR-100 by ISD without labels, and measures them.

    python examples/cifar.py --preset=cpu     # about eight minutes on two cores
    python examples/cifar.py --preset=full    # the recipe cifar_resnet18: 200 epochs, for a GPU

The data come from TensorFlow Datasets, stored in `--data_dir=DIR`. The printed table holds
accuracies of k-nearest-neighbour classifiers before and after training: 1 and 20 neighbours with
one vote each, and 200 weighted ones, as is usual for CIFAR. With `--resume=DIR` the same command
resumes an interrupted run. Next to the model the run writes its metrics by epoch (`.csv`).
`experiments/cifar.py` compares methods, subsets and settings on the same images.
"""

from keras_isd_start import quiet_start

with quiet_start():
    import keras

import pathlib

from absl import app, flags, logging

import keras_isd
from keras_isd import augmentation, data, evaluation

RECIPE = "cifar_resnet18"
# Instead of the recipe's: channels of a ConvNet, images to train and to test on, epochs, images of
# a batch, and anchors in the queue. A ResNet, however narrow, learns little in so few steps.
PRESETS = {
    "full": None,
    "cpu": ((24, 48, 96, 192), 10_000, 2_000, 30, 64, 4096),
    "smoke": ((8, 16), 256, 64, 1, 64, 128),  # tests the program; learns nothing
}

PRESET = flags.DEFINE_enum("preset", "full", list(PRESETS), "Scale of the run.")
DATASET = flags.DEFINE_enum("dataset", "cifar10", ["cifar10", "cifar100"], "Data set to train on.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps the data.")
EPOCHS = flags.DEFINE_integer("epochs", None, "Passes over the images, instead of the preset's.", 1)
POLICY = flags.DEFINE_string("policy", "float32", "Or mixed_bfloat16, mixed_float16.")
SEED = flags.DEFINE_integer("seed", 0, "Determines weights, order and views, and so the run.")
RESUME = flags.DEFINE_string("resume", None, "Folder of checkpoints to write and to resume from.")
OUTPUT = flags.DEFINE_string("output", "runs/cifar.keras", "File `.keras` for the trained model.")


@flags.validator("output", "must end in .keras, so that hours of training can be saved there")
def _can_be_saved(path):
    return path.endswith(".keras")


def load(split, count):
    """The first images of a split."""
    source = data.from_tfds(DATASET.value, split, data_dir=DATA_DIR.value)
    return source if count is None else source.subset(range(count))


def knn_accuracies(backbone, train, test):
    """Accuracies of several k-NN classifiers on a network's features."""
    view = augmentation.evaluation(32, augmentation.CIFAR10)
    bank, queries = (
        evaluation.extract_features(backbone, data.one_view_dataset(part, view, 500), verbose=0)
        for part in (train, test)
    )
    found = evaluation.knn_accuracies(bank.features, bank.labels, queries.features, queries.labels)
    return {name: result["top1"] for name, result in found.items()}


def main(_):
    logging.set_verbosity(logging.WARNING)  # TensorFlow Datasets logs every file
    keras.utils.set_random_seed(SEED.value)
    keras.mixed_precision.set_global_policy(POLICY.value)
    recipe = keras_isd.recipes.get_recipe(RECIPE)
    train_count = test_count = None
    epochs, batch_size, arguments = recipe.epochs, recipe.batch_size, {}
    if preset := PRESETS[PRESET.value]:
        filters, train_count, test_count, epochs, batch_size, anchors = preset
        backbone = keras_isd.backbones.ConvNet((32, 32, 3), filters)
        arguments = {"backbone": backbone, "queue_size": anchors}
    epochs = EPOCHS.value or epochs
    train, test = load("train", train_count), load("test", test_count)
    output = pathlib.Path(OUTPUT.value)
    output.parent.mkdir(parents=True, exist_ok=True)

    callbacks, start = [keras_isd.callbacks.HealthMonitor()], {}
    if RESUME.value:
        resume = keras_isd.callbacks.Resume(RESUME.value, every_n_steps=100)
        start = {"initial_epoch": resume.initial_epoch, "initial_step": resume.initial_step}
        callbacks.insert(0, resume)
    callbacks.append(keras.callbacks.CSVLogger(output.with_suffix(".csv"), append=bool(start)))

    view = augmentation.strong(32, augmentation.CIFAR10, blur=0)  # for query and key
    batches = data.two_view_dataset(train, view, view, batch_size, seed=SEED.value, **start)
    model = keras_isd.ISDModel.from_recipe(RECIPE, **arguments)
    model.compile(keras_isd.optimizers.from_recipe(RECIPE, len(batches), epochs))
    columns = {"untrained": knn_accuracies(model.student_backbone, train, test)}
    model.fit(
        batches,
        epochs=epochs,
        initial_epoch=start.get("initial_epoch", 0),
        shuffle=False,  # the batches are shuffled
        callbacks=callbacks,
    )
    columns["student"] = knn_accuracies(model.student_backbone, train, test)
    columns["teacher"] = knn_accuracies(model.teacher_backbone, train, test)

    print(f"\n{len(train):,} training and {len(test):,} test images of {DATASET.value}")
    print(f"{'':<20}" + "".join(f"{name:>10}" for name in columns))
    for row in columns["student"]:
        print(f"{row:<20}" + "".join(f"{column[row]:>10.3f}" for column in columns.values()))
    model.save(output)
    print(f"Saved {output}; keras.models.load_model(...).student_backbone is the trained network")


if __name__ == "__main__":
    app.run(main)
