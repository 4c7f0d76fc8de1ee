"""Whether the measures of health without labels tell good runs from spoilt ones.

    python benchmarks/health_measures.py --data_dir=DIR

Six runs of the comparison's small network on 10,000 images of CIFAR-10: ISD, MoCo and BYOL as their
recipes say, and three that are spoilt: ISD with a teacher so warm that all anchors look alike to
it, ISD with forty times the learning rate, and BYOL without a predictor. Printed is what
`HealthMonitor` measures of 1,000 other images after the last epoch, beside the accuracy of the 20
nearest neighbours, which takes labels.
"""

import keras
import numpy as np
from absl import app, flags

import keras_isd
from keras_isd import augmentation, data, evaluation

DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps CIFAR-10.")
EPOCHS = flags.DEFINE_integer("epochs", 10, "Of each run.", 1)
SEED = flags.DEFINE_integer("seed", 0, "Of the images that are drawn, weights, order and views.")
IMAGES, WATCHED, BATCH_SIZE, QUEUE_SIZE = 10_000, 1000, 64, 4096

# The recipe, what differs from it, and the learning rate by times its own.
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


def run(recipe, changes, rate, source, watched):
    """Trains, and gives the measures of the last epoch and the trained model."""
    keras.utils.set_random_seed(SEED.value)
    view = augmentation.strong(32, augmentation.CIFAR10, blur=0)
    batches = data.two_view_dataset(source, view, view, BATCH_SIZE, seed=SEED.value)
    network = keras_isd.backbones.ConvNet((32, 32, 3), (16, 32, 64, 128))
    found = keras_isd.recipes.get_recipe(recipe)
    queue = {} if recipe.startswith("byol") else {"queue_size": QUEUE_SIZE}
    model = found.method.from_recipe(recipe, backbone=network, **queue, **changes)
    learning_rate = rate * found.sgd["learning_rate"]
    steps = len(batches)
    optimizer = keras_isd.optimizers.from_recipe(
        recipe, steps, EPOCHS.value, learning_rate=learning_rate
    )
    model.compile(optimizer)
    monitor = keras_isd.callbacks.HealthMonitor(views=watched)
    arguments = {"epochs": EPOCHS.value, "verbose": 0, "shuffle": False, "callbacks": [monitor]}
    history = model.fit(batches, **arguments).history
    return {name: history[name][-1] for name in MEASURES}, model


def accuracy(model, source, tests):
    """Of the 20 nearest neighbours among the images that were trained on."""
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
    trained, others = source.subset(rows[:IMAGES]), source.subset(rows[IMAGES:][:WATCHED])
    pixels = np.stack([others[row] for row in range(WATCHED)])
    keras.utils.set_random_seed(SEED.value)
    view = augmentation.strong(32, augmentation.CIFAR10, blur=0)
    watched = [keras.ops.convert_to_numpy(view(pixels)) for _ in range(2)]
    print(f"{'':<28}" + "".join(f"{name:>20}" for name in (*MEASURES, "20-NN")), flush=True)
    for name, (recipe, changes, rate) in RUNS.items():
        try:
            found, model = run(recipe, changes, rate, trained, watched)
        except ValueError as error:  # of a loss that is not finite
            print(f"{name:<28} stopped: {str(error).splitlines()[0]}", flush=True)
            continue
        found["20-NN"] = accuracy(model, trained, others)
        print(f"{name:<28}" + "".join(f"{value:>20.3f}" for value in found.values()), flush=True)


if __name__ == "__main__":
    app.run(main)
