# %% [markdown]
# # Features of handwritten digits, without their labels
#
# scikit-learn's 1,797 digits of 8x8 pixels, a small convolutional network, ISD: a student network
# learns from a slowly moving teacher how similar each digit is to many others. Only the evaluation
# at the end uses labels.

# %% tags=["script"]
import argparse

# %%
from keras_isd_start import quiet_start

with quiet_start():  # TensorFlow's start-up messages
    import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_isd
from keras_isd import augmentation, data, evaluation

EPOCHS, SEED, FIGURE = 120, 0, None

# %% tags=["script"]
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=EPOCHS)
parser.add_argument("--seed", type=int, default=SEED)
parser.add_argument("--figure", help="where to draw the features (t-SNE)")
EPOCHS, SEED, FIGURE = vars(parser.parse_args()).values()

# %% [markdown]
# **Images and views.** The last 500 digits are the test set. Each view is a slightly rotated,
# scaled, sheared and shifted digit with another brightness and contrast.

# %%
keras.utils.set_random_seed(SEED)
images, labels = load_digits(return_X_y=True)
order, train = np.random.RandomState(0).permutation(len(images)), 1297
images, labels = images[order].reshape(-1, 8, 8, 1).astype("uint8"), labels[order]
scale = [augmentation.Rescale(0, 16), augmentation.Normalize(mean=[0], std=[1])]  # to [0, 1]
affine = augmentation.RandomAffine(
    rotation=14, translation=1 / 8, scale=(0.82, 1.22), aspect_ratio=(0.82, 1.22), shear=11, fill=0
)
ink = augmentation.IntensityJitter(channels=1, brightness=0.3, contrast=0.3, rate=1)
view = augmentation.Augmenter([affine, ink, *scale])
source = data.from_arrays(images[:train], channels=1)
batches = data.two_view_dataset(source, view, view, batch_size=100, seed=SEED)

# %% [markdown]
# **Model and training.**

# %%
model = keras_isd.ISDModel(
    keras_isd.backbones.ConvNet((8, 8, 1), filters=(32, 64, 128)),
    projector=keras_isd.heads.mlp(128, 256, 32, name="projector"),
    predictor=keras_isd.heads.mlp(32, 256, 32, name="predictor"),
    queue_size=700, teacher_temperature=0.04, student_temperature=0.1, teacher_momentum=0.99,
)  # fmt: skip
rate = keras_isd.optimizers.epoch_cosine(0.05, EPOCHS, len(batches))
model.compile(keras_isd.optimizers.SGD(rate, momentum=0.9, weight_decay=1e-4))
pixels = keras.ops.convert_to_numpy(augmentation.Augmenter(scale)(images))
features = {"pixels": pixels.reshape(len(pixels), -1)}
features["untrained network"] = model.predict(pixels, verbose=0)
model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=2)
features["trained student"] = model.predict(pixels, verbose=0)
features["trained teacher"] = model.teacher_backbone.predict(pixels, verbose=0)

# %% [markdown]
# **Evaluation.** Accuracy on the test digits by the nearest of ten class centroids, each the mean
# of one or five labelled digits (averaged over 50 draws), and by the nearest training digit.


# %%
def accuracy(bank, bank_labels, queries):
    return evaluation.knn_accuracy(bank, bank_labels, queries, labels[train:], k=1)["top1"]


def few_shot_accuracy(bank, queries, shots, random):
    rows = [random.choice(np.flatnonzero(labels[:train] == c), shots, False) for c in range(10)]
    return accuracy(bank[np.stack(rows)].mean(axis=1), np.arange(10), queries)


print(f"\n{'features':<20}{'1-shot':>8}{'5-shot':>8}{'1-NN':>8}")
for name, x in features.items():
    bank, queries = np.split(x / np.linalg.norm(x, axis=1, keepdims=True), [train])
    draws = [(shots, np.random.RandomState(0)) for shots in (1, 5)]
    row = [np.mean([few_shot_accuracy(bank, queries, *d) for _ in range(50)]) for d in draws]
    row.append(accuracy(bank, labels[:train], queries))
    print(f"{name:<20}" + "".join(f"{value:>8.3f}" for value in row))

# %% tags=["script"]
if FIGURE:
    panels = {name: features[name][train:] for name in ("untrained network", "trained student")}
    keras_isd.visualization.plot_embedding(panels, labels[train:], path=FIGURE)
