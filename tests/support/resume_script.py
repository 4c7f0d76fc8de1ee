"""A short run with checkpoints, in a process of its own, to be killed and started again.

`python -m tests.support.resume_script DIRECTORY OUT.npz EPOCHS [DEVICES]`
"""

import contextlib
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import keras_isd
from tests.support.replicas_script import tensorflow_scope

EPOCHS, STEPS, BATCH_SIZE = 5, 7, 8


def model():
    keras.utils.set_random_seed(3)
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(16, 3, padding="same")(images)
    x = keras.layers.Dropout(0.2, seed=5)(keras_isd.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    isd = keras_isd.ISDModel(
        keras.Model(images, x),
        predictor=keras_isd.heads.mlp(16, 32, 16, name="predictor"),
        queue_size=61,
        seed=4,
    )
    schedule = keras_isd.optimizers.epoch_cosine(0.05, EPOCHS, STEPS)
    isd.compile(keras_isd.optimizers.SGD(schedule, momentum=0.9, weight_decay=1e-4))
    return isd


def batches(resume):
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (STEPS * BATCH_SIZE, 8, 8, 3)).astype("uint8")
    return keras_isd.data.two_view_dataset(
        keras_isd.data.from_arrays(images, random.randint(0, 5, len(images))),
        query=lambda images: tf.cast(images, "float32") / 255,
        key=lambda images: tf.cast(images[:, :, ::-1], "float32") / 255,
        batch_size=BATCH_SIZE,
        seed=1,
        initial_epoch=resume.initial_epoch,
        initial_step=resume.initial_step,
    )


def run(directory, callbacks=(), every_n_steps=1, isd=None, epochs=EPOCHS):
    """The trained model, and the logs of the last epoch or of the run's last checkpoint."""
    resume = keras_isd.callbacks.Resume(directory, every_n_steps)
    isd = isd or model()
    history = isd.fit(
        batches(resume),
        epochs=epochs,
        initial_epoch=resume.initial_epoch,
        shuffle=False,
        verbose=0,
        callbacks=[resume, *callbacks],
    ).history
    return isd, {name: values[-1] for name, values in history.items()}


def main():
    directory, out, epochs, *devices = sys.argv[1:]
    with tensorflow_scope(int(devices[0])) if devices else contextlib.nullcontext():
        isd, logs = run(directory, epochs=int(epochs))
    variables = (*isd.variables, *isd.optimizer.variables)
    state = {f"{i:04} {v.path}": ops.convert_to_numpy(v) for i, v in enumerate(variables)}
    np.savez(out, **state, **{f"logs/{name}": value for name, value in logs.items()})


if __name__ == "__main__":
    main()
