"""Learns features of handwritten digits without their labels, in about a minute on two cores.

    python examples/quickstart.py

scikit-learn's 1,797 digits of 8x8 pixels, a small convolutional network, ISD. The table at the
end says how well digits are told apart that the network has never seen: by the nearest of ten
centroids, made of one or five labelled digits a class, and by the nearest of all other digits.
"""

import quiet_start  # noqa: F401, before all else

# isort: split

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from sklearn.datasets import load_digits

import keras_isd

EPOCHS = flags.DEFINE_integer("epochs", 120, "Passes over the digits.")
SEED = flags.DEFINE_integer("seed", 0, "Fixes weights, order and views, and so the run.")
POLICY = flags.DEFINE_string("policy", "float32", "Or mixed_bfloat16, mixed_float16.")
FIGURE = flags.DEFINE_string("figure", None, "Where to draw the features (t-SNE, matplotlib).")
RESUME = flags.DEFINE_string("resume", None, "Folder of checkpoints to go on from, and to write.")

BATCH_SIZE = 100
TRAIN = 1297  # digits to train on; the other 500 are to be told apart


def load():
    """Digits `(1797, 8, 8, 1)` in [0, 1] and their classes, in a fixed random order."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(images))
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    return images[order], labels[order].astype("int32")


def two_views(images, seed, epochs):
    """Batches of two random views of each image, drawn from (seed, step) alone."""
    dataset = tf.data.Dataset.from_tensor_slices(images)
    dataset = dataset.shuffle(len(images), seed=seed).batch(BATCH_SIZE, drop_remainder=True)

    def views(step, batch):
        return {name: view(batch, (seed, 2 * step + i)) for i, name in enumerate(("query", "key"))}

    return dataset.repeat(epochs).enumerate().map(views).prefetch(tf.data.AUTOTUNE)


def view(images, seed):
    """Turns, scales, stretches, slants and moves each image a little, and changes its ink."""
    draw = tf.unstack(tf.random.stateless_uniform((8, BATCH_SIZE), seed, -1, 1))
    angle, scale, stretch, slant = 0.25 * draw[0], 0.2 * draw[1], 0.1 * draw[2], 0.2 * draw[3]
    width, height = tf.exp(scale + stretch), tf.exp(scale - stretch)
    a, b = tf.cos(angle) * width, (slant - tf.sin(angle)) * width
    c, d = tf.sin(angle) * height, tf.cos(angle) * height
    # Output pixel (x, y) is taken from (a x + b y + right, c x + d y + down); 3.5 is the centre.
    right, down = 3.5 - 3.5 * (a + b) + draw[4], 3.5 - 3.5 * (c + d) + draw[5]
    zero = tf.zeros(BATCH_SIZE)
    images = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, right, c, d, down, zero, zero], axis=1),
        output_shape=(8, 8),
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )
    contrast = (1 + 0.3 * draw[6])[:, None, None, None]
    return contrast * images + tf.random.stateless_normal(images.shape, seed, stddev=0.1)


def nearest_centroid_accuracy(bank, bank_labels, features, labels, shots, trials=50):
    """Mean accuracy of the nearest centroid of `shots` random examples a class."""
    bank = bank / np.linalg.norm(bank, axis=1, keepdims=True)
    random = np.random.RandomState(0)
    accuracies = []
    for _ in range(trials):
        chosen = [random.choice(np.flatnonzero(bank_labels == c), shots, False) for c in range(10)]
        centroids = np.stack([bank[rows].mean(axis=0) for rows in chosen])
        found = keras_isd.evaluation.knn_accuracy(centroids, np.arange(10), features, labels, k=1)
        accuracies.append(found["top1"])
    return np.mean(accuracies)


def report(rows, labels):
    print(f"\n{'features':<20}{'1-shot':>8}{'5-shot':>8}{'1-NN':>8}")
    bank_labels, test_labels = labels[:TRAIN], labels[TRAIN:]
    for name, features in rows.items():
        bank, test = features[:TRAIN], features[TRAIN:]
        shots = [nearest_centroid_accuracy(bank, bank_labels, test, test_labels, n) for n in (1, 5)]
        nearest = keras_isd.evaluation.knn_accuracy(bank, bank_labels, test, test_labels, k=1)
        print(f"{name:<20}{shots[0]:>8.3f}{shots[1]:>8.3f}{nearest['top1']:>8.3f}")


def make_model(epochs, steps):
    """ISD with a small network, compiled for so many epochs of so many steps."""
    model = keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((8, 8, 1), filters=(32, 64, 128)),
        projector=keras_isd.heads.mlp(128, 256, 32, name="projector"),
        predictor=keras_isd.heads.mlp(32, 256, 32, name="predictor"),
        queue_size=700,
        teacher_temperature=0.04,
        student_temperature=0.1,
        teacher_momentum=0.99,
    )
    schedule = keras_isd.optimizers.epoch_cosine(0.05, epochs, steps)
    model.compile(keras_isd.optimizers.SGD(schedule, momentum=0.9, weight_decay=1e-4))
    return model


def main(_):
    keras.utils.set_random_seed(SEED.value)
    keras.mixed_precision.set_global_policy(POLICY.value)
    images, labels = load()
    views = two_views(images[:TRAIN], SEED.value, EPOCHS.value)
    steps = TRAIN // BATCH_SIZE
    model = make_model(EPOCHS.value, steps)

    untrained = model.predict(images, verbose=0)
    resume = RESUME.value and keras_isd.callbacks.Resume(RESUME.value)
    first = resume.initial_epoch if resume else 0
    model.fit(
        views.skip(first * steps),
        epochs=EPOCHS.value,
        initial_epoch=first,
        steps_per_epoch=steps,
        shuffle=False,
        callbacks=[resume] if resume else [],
    )
    rows = {
        "pixels": images.reshape(len(images), -1),
        "untrained network": untrained,
        "trained student": model.predict(images, verbose=0),
        "trained teacher": model.teacher_backbone.predict(images, verbose=0),
    }
    report(rows, labels)
    if FIGURE.value:
        panels = {name: rows[name][TRAIN:] for name in ("untrained network", "trained student")}
        keras_isd.visualization.plot_embedding(panels, labels[TRAIN:], path=FIGURE.value)


if __name__ == "__main__":
    app.run(main)
