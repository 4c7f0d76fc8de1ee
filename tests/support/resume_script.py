"""A short run with checkpoints in a separate process, which tests kill and restart.

`python -m tests.support.resume_script DIRECTORY OUT.npz EPOCHS [DEVICES] [--method=NAME]`
"""

import argparse
import contextlib

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import keras_isd
from tests.support.replicas_script import tensorflow_scope

EPOCHS, STEPS, BATCH_SIZE = 5, 7, 8


def model(method="isd"):
    keras.utils.set_random_seed(3)
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(16, 3, padding="same")(images)
    x = keras.layers.Dropout(0.2, seed=5)(keras_isd.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    backbone = keras.Model(images, x)
    if method == "distillation":
        isd = keras_isd.DistillationModel(backbone, teacher=6, queue_size=61, seed=4)
    else:
        isd = {"isd": keras_isd.ISDModel, "msf": keras_isd.baselines.MSFModel}[method](
            backbone,
            predictor=keras_isd.heads.mlp(16, 32, 16, name="predictor"),
            queue_size=61,
            seed=4,
        )
    schedule = keras_isd.optimizers.epoch_cosine(0.05, EPOCHS, STEPS)
    isd.compile(keras_isd.optimizers.SGD(schedule, momentum=0.9, weight_decay=1e-4))
    return isd


def batches(resume, method="isd"):
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (STEPS * BATCH_SIZE, 8, 8, 3)).astype("uint8")
    labels = random.randint(0, 5, len(images))
    if method == "distillation":
        key = {"key": None, "teacher_features": random.rand(len(images), 6)}
    else:
        key = {"key": lambda images: tf.cast(images[:, :, ::-1], "float32") / 255}
    return keras_isd.data.two_view_dataset(
        keras_isd.data.from_arrays(images, labels),
        query=lambda images: tf.cast(images, "float32") / 255,
        **key,
        batch_size=BATCH_SIZE,
        seed=1,
        initial_epoch=resume.initial_epoch,
        initial_step=resume.initial_step,
    )


def run(directory, callbacks=(), every_n_steps=1, isd=None, epochs=EPOCHS, method="isd"):
    """The trained model, and the logs of the last epoch or of the run's last checkpoint."""
    resume = keras_isd.callbacks.Resume(directory, every_n_steps)
    isd = isd or model(method)
    history = isd.fit(
        batches(resume, method),
        epochs=epochs,
        initial_epoch=resume.initial_epoch,
        shuffle=False,
        verbose=0,
        callbacks=[resume, *callbacks],
    ).history
    return isd, {name: values[-1] for name, values in history.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("out")
    parser.add_argument("epochs", type=int)
    parser.add_argument("devices", type=int, nargs="?", default=1)
    parser.add_argument("--method", default="isd")
    arguments = parser.parse_args()
    several = arguments.devices > 1
    with tensorflow_scope(arguments.devices) if several else contextlib.nullcontext():
        isd, logs = run(arguments.directory, epochs=arguments.epochs, method=arguments.method)
    variables = (*isd.variables, *isd.optimizer.variables)
    state = {f"{i:04} {v.path}": ops.convert_to_numpy(v) for i, v in enumerate(variables)}
    np.savez(arguments.out, **state, **{f"logs/{name}": value for name, value in logs.items()})


if __name__ == "__main__":
    main()
