"""Counts the planted images that `keras_isd.exploration` finds among 5,000 images of CIFAR-10.

    python experiments/planted_images.py --model=runs/cifar.keras --data_dir=DIR

The planted images are 300 near copies, a third each cropped, compressed as JPEG and turned by up to
five degrees, and as outliers 50 patterns (stripes, chequers, rings or noise, each in two colours),
or 50 handwritten digits of scikit-learn. The 5,000 are test images, which the model has not seen.
Then each method of selection, and random selection, buys as many labels of the 5,000 as `--labels`
gives, and each other image gets the label of the nearest labelled one.
"""

import io

import keras
import numpy as np
from absl import app, flags
from PIL import Image
from sklearn.datasets import load_digits

import keras_isd
from keras_isd import augmentation, data, evaluation, exploration

MODEL = flags.DEFINE_string("model", None, "File .keras of a model for 32 pixels.", required=True)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps CIFAR-10.")
LABELS = flags.DEFINE_list("labels", ["20", "100"], "Numbers of labels to buy.")

IMAGES, COPIES, OUTLIERS = 5000, 300, 50
KINDS = ("cropped", "compressed", "turned")


def crop(image, random):
    left, top = random.randint(0, 4, 2)
    size = random.randint(28, 33 - max(left, top)) if max(left, top) < 5 else 28
    box = (left, top, left + size, top + size)
    return image.crop(box).resize(image.size, Image.Resampling.BICUBIC)


def compress(image, random):
    contents = io.BytesIO()
    image.save(contents, "JPEG", quality=int(random.randint(30, 80)))
    return Image.open(contents).convert("RGB")


def turn(image, random):
    large = image.resize((128, 128), Image.Resampling.BICUBIC)
    large = large.rotate(float(random.uniform(-5, 5)), Image.Resampling.BICUBIC)
    return large.crop((6, 6, 122, 122)).resize(image.size, Image.Resampling.LANCZOS)


def draw_pattern(random):
    """Stripes, chequers, noise or rings in two colours."""
    y, x = np.mgrid[:32, :32] / 32
    first, second = random.uniform(0, 255, (2, 3))
    frequency, angle = random.uniform(2, 12), random.uniform(0, np.pi)
    across, along = (
        np.sin(2 * np.pi * frequency * (np.cos(a) * x + np.sin(a) * y)) > 0
        for a in (angle, angle + np.pi / 2)
    )
    rings = np.hypot(x - 0.5, y - 0.5) * frequency % 1
    share = (across, across ^ along, random.rand(32, 32), rings)[random.randint(4)]
    return (first + (second - first) * np.asarray(share, float)[..., None]).astype("uint8")


def plant_images():
    """Images, the labels of the first 5,000, and the row of each copy's original.

    The copies come after the 5,000, then the digits, then as many patterns.
    """
    source, random = (
        data.from_tfds("cifar10", "test", data_dir=DATA_DIR.value),
        np.random.RandomState(0),
    )
    rows = random.permutation(len(source))[:IMAGES]
    images = [Image.fromarray(source[int(row)]) for row in rows]
    originals = random.permutation(IMAGES)[:COPIES]
    change = (crop, compress, turn)
    copies = [change[i % 3](images[row], random) for i, row in enumerate(originals)]
    digits = load_digits().images[random.permutation(1797)[:OUTLIERS]]
    outliers = [Image.fromarray((255 - 255 * digit / 16).astype("uint8")) for digit in digits]
    outliers = [
        image.resize((32, 32), Image.Resampling.BICUBIC).convert("RGB") for image in outliers
    ]
    patterns = [draw_pattern(random) for _ in range(OUTLIERS)]
    together = [np.asarray(image) for image in images + copies + outliers] + patterns
    return np.stack(together), source.labels[rows], originals


def report_duplicates(name, groups, originals, count):
    group_of = np.full(count, -1)
    for number, rows in enumerate(groups):
        group_of[rows] = number
    reported = sum(len(rows) - 1 for rows in groups)
    copies = group_of[IMAGES : IMAGES + COPIES]
    found = (copies >= 0) & (copies == group_of[originals])
    by_kind = ", ".join(f"{found[i::3].mean():.2f} {kind}" for i, kind in enumerate(KINDS))
    print(
        f"copies, {name}: {found.sum() / max(reported, 1):.2f} of {reported} are right; "
        f"{found.mean():.2f} of all are found ({by_kind})"
    )


def report_outliers(features, kind, outliers):
    for count in (1, 5, OUTLIERS):
        found = []
        for start in range(0, min(OUTLIERS, 10 * count), count):
            together = np.concatenate([features, outliers[start : start + count]])
            order = np.argsort(-exploration.outlier_scores(together))
            found.append((order[:OUTLIERS] >= len(features)).sum() / count)
        share = f"{np.mean(found):.2f} are among the {OUTLIERS} highest scores"
        print(f"{kind}, {count} at a time: {share}")


def report_labels(features, labels, count):
    for method in ("random", "typiclust", "k_center"):
        accuracies = []
        for seed in range(3):
            if method == "random":
                rows = np.random.RandomState(seed).permutation(len(features))[:count]
            else:
                rows = exploration.select_rows(features, count, method, seed=seed)
            rest = np.setdiff1d(np.arange(len(features)), rows)
            nearest, _ = evaluation.nearest_rows(features[rows], features[rest], 1)
            accuracies.append(100 * (labels[rows][nearest[:, 0]] == labels[rest]).mean())
        spread = np.std(accuracies, ddof=1)
        print(f"{count} labels, {method}: {np.mean(accuracies):.1f} ± {spread:.1f}")


def main(_):
    images, labels, originals = plant_images()
    model = keras.models.load_model(MODEL.value)
    view = augmentation.evaluation(32, augmentation.CIFAR10)
    batches = keras_isd.data.ViewBatches(images, None, view, 500)
    features = evaluation.extract_features(model, batches, verbose=0).features
    features, digits, patterns = np.split(features, [IMAGES + COPIES, IMAGES + COPIES + OUTLIERS])
    for ratio in (0.2, 0.3, 0.4):
        groups = exploration.find_duplicates(features, ratio)
        report_duplicates(f"ratio {ratio}", groups, originals, len(features))
    groups = exploration.find_copies(images[: len(features)], features).groups
    report_duplicates("verified", groups, originals, len(features))
    report_outliers(features[:IMAGES], "digits", digits)
    report_outliers(features[:IMAGES], "patterns", patterns)
    for count in map(int, LABELS.value):
        report_labels(features[:IMAGES], labels, count)


if __name__ == "__main__":
    app.run(main)
