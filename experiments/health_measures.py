"""Compares the label-free health measures of good training runs with those of spoilt ones.

    python experiments/health_measures.py --data_dir=DIR

Six runs of the comparison's small network on 10,000 images of CIFAR-10: ISD, MoCo and BYOL by their
recipes, and three spoilt runs: ISD with a teacher so warm that it finds all anchors alike, ISD with
forty times the learning rate, and BYOL without a predictor. The table has the values that
`HealthMonitor` measures on 1,000 other images after the last epoch, and the accuracy of the 20
nearest neighbours, which needs labels.
"""

import keras
import numpy as np
from absl import app, flags

import keras_isd
from keras_isd import augmentation, data, evaluation

DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps CIFAR-10.")
IMAGES = flags.DEFINE_integer("images", 10_000, "Images to train on.", 1)
EPOCHS = flags.DEFINE_integer("epochs", 10, "Epochs of each run.", 1)
SEED = flags.DEFINE_integer("seed", 0, "Determines the drawn images, weights, order and views.")
HELD_OUT, BATCH_SIZE, QUEUE_SIZE = 1000, 64, 4096

# The recipe, the arguments that differ from it, and the factor of its learning rate.
RUNS = {
    "good: ISD": ("cifar_resnet18", {}, 1),
    "good: MoCo": ("moco_cifar_resnet18", {}, 1),
    "good: BYOL": ("byol_cifar_resnet18", {}, 1),
    "spoilt: ISD, temperatures": (
        "cifar_resnet18",
        {"teacher_temperature": 1.0, "student_temperature": 1.0},
        1,
    ),
    "spoilt: ISD, learning rate": ("cifar_resnet18", {}, 40),
    "spoilt: BYOL, no predictor": ("byol_cifar_resnet18", {"predictor": None}, 1),
}
MEASURES = ("feature_rank", "view_retrieval", "neighbor_stability", "collapsed")


def train(recipe_name, changes, rate_factor, source, views):
    """Trains a model; returns the measures of the last epoch and the model."""
    keras.utils.set_random_seed(SEED.value)
    view = augmentation.strong(32, augmentation.CIFAR10, blur=0)
    batches = data.two_view_dataset(source, view, view, BATCH_SIZE, seed=SEED.value)
    network = keras_isd.backbones.ConvNet((32, 32, 3), (16, 32, 64, 128))
    recipe = keras_isd.recipes.get_recipe(recipe_name)
    queue = {} if recipe_name.startswith("byol") else {"queue_size": QUEUE_SIZE}
    model = recipe.method.from_recipe(recipe_name, backbone=network, **queue, **changes)
    optimizer = keras_isd.optimizers.from_recipe(
        recipe_name,
        len(batches),
        EPOCHS.value,
        learning_rate=rate_factor * recipe.sgd["learning_rate"],
    )
    model.compile(optimizer)
    monitor = keras_isd.callbacks.HealthMonitor(views=views)
    arguments = {"epochs": EPOCHS.value, "verbose": 0, "shuffle": False, "callbacks": [monitor]}
    history = model.fit(batches, **arguments).history
    return {name: history[name][-1] for name in MEASURES}, model


def knn_accuracy(model, source, tests):
    """Accuracy of the 20 nearest neighbours among the training images."""
    view = augmentation.evaluation(32, augmentation.CIFAR10)
    bank, queries = (
        evaluation.extract_features(model, data.one_view_dataset(part, view, 500), verbose=0)
        for part in (source, tests)
    )
    return evaluation.knn_accuracy(
        bank.features, bank.labels, queries.features, queries.labels, k=20
    )["top1"]


def main(_):
    source = data.from_tfds("cifar10", "train", data_dir=DATA_DIR.value)
    rows = np.random.RandomState(SEED.value).permutation(len(source))
    train_images = source.subset(rows[: IMAGES.value])
    held_out = source.subset(rows[IMAGES.value :][:HELD_OUT])
    pixels = np.stack([held_out[row] for row in range(HELD_OUT)])
    keras.utils.set_random_seed(SEED.value)
    view = augmentation.strong(32, augmentation.CIFAR10, blur=0)
    views = [keras.ops.convert_to_numpy(view(pixels)) for _ in range(2)]
    print(f"{'':<28}" + "".join(f"{name:>20}" for name in (*MEASURES, "20-NN")), flush=True)
    for name, (recipe_name, changes, rate_factor) in RUNS.items():
        try:
            measures, model = train(recipe_name, changes, rate_factor, train_images, views)
        except ValueError as error:  # the loss is not finite
            print(f"{name:<28} stopped: {str(error).splitlines()[0]}", flush=True)
            continue
        measures["20-NN"] = knn_accuracy(model, train_images, held_out)
        print(f"{name:<28}" + "".join(f"{x:>20.3f}" for x in measures.values()), flush=True)


if __name__ == "__main__":
    app.run(main)
