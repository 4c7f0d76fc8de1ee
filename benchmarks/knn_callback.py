"""What k-NN after every epoch costs, beside the epoch: CIFAR's recipe, 50,000 images.

    KERAS_BACKEND=tensorflow python benchmarks/knn_callback.py

The epoch is counted as its steps times the median of a few; making views is left out of it. The
callback is timed as `fit` calls it, student and teacher, on some labelled images.
"""

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags
from step_times import fit_seconds

import keras_isd

BACKBONE = flags.DEFINE_enum("backbone", "resnet18", ["resnet18", "convnet"], "Which network.")
BANK = flags.DEFINE_integer("bank", 4_000, "Images to compare with.")
QUERIES = flags.DEFINE_integer("queries", 1_000, "Images to classify.")
EPOCH = flags.DEFINE_integer("epoch", 50_000, "Images of an epoch.")
BATCH = flags.DEFINE_integer("batch", 256, "Images of a step.")
STEPS = flags.DEFINE_integer("steps", 3, "Steps that are timed in each of two turns.")


def labelled(count):
    images = np.random.randint(0, 256, (count, 32, 32, 3)).astype("uint8")
    source = keras_isd.data.from_arrays(images, np.arange(count) % 10)
    return keras_isd.data.one_view_dataset(source, keras_isd.augmentation.evaluation(32), 500)


def main(_):
    arguments = {"queue_size": 65_536}
    if BACKBONE.value == "convnet":  # of `examples/cifar.py --preset=cpu`
        arguments["backbone"] = keras_isd.backbones.ConvNet((32, 32, 3), (24, 48, 96, 192))
    model = keras_isd.ISDModel.from_recipe("cifar_resnet18", **arguments)
    model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9, weight_decay=5e-4))
    shape = (BATCH.value, 32, 32, 3)
    views = {name: np.random.rand(*shape).astype("float32") for name in ("query", "key")}
    knn = keras_isd.callbacks.KNNEvaluation(labelled(BANK.value), labelled(QUERIES.value))
    knn.set_model(model)
    knn.set_params({"epochs": 1})
    knn.on_train_begin()
    knn.on_epoch_end(0, {})  # compiles
    steps, calls = [], []
    for _ in range(2):  # in turn
        steps += fit_seconds(model, (views,), STEPS.value)
        start = time.perf_counter()
        knn.on_epoch_end(0, {})
        calls.append(time.perf_counter() - start)
    epoch = EPOCH.value // BATCH.value * statistics.median(steps)
    call = statistics.median(calls)
    print("| epoch, s | k-NN of student and teacher, s | share |\n| --- | --- | --- |")
    print(f"| {epoch:.0f} | {call:.1f} | {call / epoch:.1%} |")


if __name__ == "__main__":
    app.run(main)
