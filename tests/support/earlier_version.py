"""Models and checkpoints as version 0.1.0 wrote them, for tests that later versions resume them.

Commit db048cb, the last before the package got its present layout, wrote the files in
`tests/golden_data/version_0_1` with `python earlier_version.py DIRECTORY`, under each backend. They
were then compressed further.
"""

import pathlib
import sys

import keras
import numpy as np

import keras_isd

CASES = ("isd", "isd_views", "moco", "byol")
STEPS, BATCH_SIZE = 3, 8  # before the file, and after it


def make(case):
    """The compiled model of a case, as it was before its first step."""
    keras.utils.set_random_seed(7)
    backbone = keras_isd.backbones.ConvNet((8, 8, 3), (4, 8))
    heads = {
        "projector": keras_isd.heads.mlp(8, 8, 4, name="projector"),
        "predictor": keras_isd.heads.mlp(4, 8, 4, name="predictor"),
    }
    schedule = keras_isd.optimizers.epoch_cosine(0.05, epochs=4, steps_per_epoch=STEPS)
    momentum = keras_isd.optimizers.momentum_cosine(0.9, total_steps=12)
    if case == "isd":
        options = {"teacher_momentum": momentum, "queue_indices": True, "own_key_anchor": True}
        model = keras_isd.ISDModel(backbone, **heads, queue_size=21, seed=1, **options)
        schedule = keras_isd.optimizers.WarmUp(schedule, 2)
    elif case == "isd_views":
        view = keras_isd.augmentation.strong(8, blur=0)
        options = {"query_augmenter": view, "key_augmenter": view, "queue_dtype": "bfloat16"}
        model = keras_isd.ISDModel(backbone, **heads, queue_size=21, seed=2, **options)
    elif case == "moco":
        model = keras_isd.baselines.MoCoModel(
            backbone, queue_size=21, shuffle_groups=2, symmetric=True, seed=3
        )
    else:
        model = keras_isd.baselines.BYOLModel(backbone, **heads)
    model.compile(keras_isd.optimizers.SGD(schedule, momentum=0.9, weight_decay=1e-4))
    return model


def batches(case, part):
    """Images with indices, and labels, for the steps before (part 0) or after the file (part 1)."""
    random = np.random.RandomState(part)
    count = STEPS * BATCH_SIZE
    images = random.randint(0, 256, (count, 8, 8, 3)).astype("float32")
    labels = random.randint(0, 3, count).astype("int32")
    if case == "isd_views":
        return images, labels
    query = images / 255 - 0.5
    key = query + 0.1 * random.standard_normal(query.shape).astype("float32")
    index = {"index": np.arange(count, dtype="int32")} if case == "isd" else {}
    return {"query": query, "key": key, **index}, labels


def next_losses(model, case, callbacks=(), first_epoch=1):
    """The loss of each step after the file."""
    x, labels = batches(case, 1)
    found = Losses()
    model.fit(
        x,
        labels,
        batch_size=BATCH_SIZE,
        epochs=first_epoch + 1,
        initial_epoch=first_epoch,
        shuffle=False,
        verbose=0,
        callbacks=[*callbacks, found],
    )
    return found.losses


class Losses(keras.callbacks.Callback):
    """The loss of the epoch so far, after each step."""

    def on_train_begin(self, logs=None):
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))


def main():
    folder = pathlib.Path(sys.argv[1])
    for case in CASES:
        name = f"{case}_{keras.backend.backend()}"
        model = make(case)
        x, labels = batches(case, 0)
        resume = keras_isd.callbacks.Resume(folder / name)
        arguments = {"batch_size": BATCH_SIZE, "shuffle": False, "verbose": 0}
        model.fit(x, labels, epochs=1, callbacks=[resume], **arguments)
        model.save(folder / f"{name}.keras")
        [checkpoint] = (folder / name).glob("*.checkpoint")
        checkpoint.rename(folder / f"{name}.checkpoint")
        (folder / name).rmdir()
        losses = next_losses(model, case)
        np.save(folder / f"{name}_losses.npy", np.array(losses))
        print(name, losses)


if __name__ == "__main__":
    main()
