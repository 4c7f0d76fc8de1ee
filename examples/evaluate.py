"""Says what the features of a trained model are worth, by the protocols of the paper.

    python examples/evaluate.py --model=runs/cifar.keras --dataset=cifar10 \
        --protocols=knn,linear,few_labels,transfer,unbalanced --transfer_to=cifar100
    python examples/evaluate.py --model=FILE --image_folder=DIR --test_split=val

Student and teacher, on the test images of a set of TensorFlow Datasets, or of your own folder with
a subfolder for each split and in it one for each class, `DIR/train/CLASS`. Prints one table, and
writes `results.json`, the figures and `report.html` to a folder. Features are computed once, of
each image's centre; a few labels and transfer are linear layers on them.
"""

import quiet_start  # noqa: F401, before all else

# isort: split
import functools
import json
import pathlib

import keras
import numpy as np
from absl import app, flags

import keras_isd
from keras_isd import augmentation, evaluation, visualization

MODEL = flags.DEFINE_string("model", None, "A saved model, `.keras`.", required=True)
DATASET = flags.DEFINE_string("dataset", "cifar10", "A labelled set of TensorFlow Datasets.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where it is, or is to be put.")
IMAGE_FOLDER = flags.DEFINE_string("image_folder", None, "Your own folder, instead of a set.")
TRAIN = flags.DEFINE_string("train_split", "train", "What to learn from, and to compare with.")
TEST = flags.DEFINE_string("test_split", "test", "What to classify.")
CHOSEN = flags.DEFINE_list(
    "protocols", ["knn", "linear"], "Among knn, linear, few_labels, transfer, unbalanced."
)
TRANSFER_TO = flags.DEFINE_string("transfer_to", "cifar100", "The other set, for `transfer`.")
LARGE = flags.DEFINE_list("large_classes", ["0", "1"], "For `unbalanced`: the others were rare.")
SEED = flags.DEFINE_integer("seed", 0, "Of linear layers and of drawn labels.")
OUTPUT = flags.DEFINE_string("output", "runs/evaluation", "Folder for the results.")

OWN = "own folder"  # in place of a set's name


@functools.cache  # both networks see the same images
def source_of(dataset, split):
    if dataset == OWN:
        names = None if split == TRAIN.value else source_of(OWN, TRAIN.value).class_names
        return keras_isd.data.from_folder(IMAGE_FOLDER.value, split, class_names=names)
    return keras_isd.data.from_tfds(dataset, split, data_dir=DATA_DIR.value)


def features_of(backbone, dataset, split):
    """`Features` of a split, of each image's centre."""
    size = backbone.input_shape[1]
    # What the views of training had: of examples/cifar.py its own, of a folder the usual ones.
    of_cifar = size <= 64 and not IMAGE_FOLDER.value
    statistics = augmentation.CIFAR10 if of_cifar else augmentation.IMAGENET
    view = augmentation.evaluation(size, statistics)
    batches = keras_isd.data.one_view_dataset(source_of(dataset, split), view, batch_size=256)
    return evaluation.extract_features(backbone, batches)


def knn(backbone, train, test):
    found = {}
    for title, result in evaluation.knn_accuracies(*train, *test).items():
        found[f"{title}, top-1"] = result["top1"]
        if title != "1-NN":
            found[f"{title}, top-5"] = result["top5"]
    return found


def linear(backbone, train, test):
    result = evaluation.linear_probe(*train, *test, seed=SEED.value)
    return {"linear, top-1": result["top1"], "linear, top-5": result["top5"]}


def few_labels(backbone, train, test):
    features, labels = train

    def accuracy_of(rows, seed):
        return evaluation.linear_probe(features[rows], labels[rows], *test, seed=seed)

    seeds = range(SEED.value, SEED.value + 3)
    found = evaluation.few_labels(labels, accuracy_of, seeds=seeds)
    rows = {}
    for fraction, result in found.items():
        rows[f"{fraction:.0%} of labels, linear"] = result["mean"]
        rows[f"{fraction:.0%} of labels, spread of 3 draws"] = result["std"]
    return rows


def transfer(backbone, train, test):
    name = TRANSFER_TO.value
    splits = ("train", "test") if IMAGE_FOLDER.value else (TRAIN.value, TEST.value)
    sets = (features_of(backbone, name, split)[:2] for split in splits)
    train, test = sets
    result = evaluation.logistic_regression(*train, *test, seed=SEED.value)
    return {f"transfer to {name}, top-1": result["top1"]}


def unbalanced(backbone, train, test):
    classes = set(np.unique(test[1]).tolist())
    large = set(map(int, LARGE.value))
    if not large < classes:
        raise app.UsageError(
            f"--large_classes must be some of the classes 0 to {max(classes)}. "
            f"Received: {','.join(LARGE.value)}"
        )
    rare = sorted(classes - large)
    result = evaluation.unbalanced_accuracy(*train, *test, rare_classes=rare, seed=SEED.value)
    return {"1-NN, all classes": result["all"], "1-NN, rare classes": result["rare"]}


PROTOCOLS = {
    "knn": knn,
    "linear": linear,
    "few_labels": few_labels,
    "transfer": transfer,
    "unbalanced": unbalanced,
}


def main(_):
    unknown = sorted(set(CHOSEN.value) - set(PROTOCOLS))
    if unknown:
        raise app.UsageError(f"--protocols must be among {list(PROTOCOLS)}. Received: {unknown}")
    if not all(name.isdigit() for name in LARGE.value):
        raise app.UsageError(
            f"--large_classes must be numbers of classes. Received: {','.join(LARGE.value)}"
        )
    model = keras.models.load_model(MODEL.value)
    dataset = OWN if IMAGE_FOLDER.value else DATASET.value
    results, figures, folder = {}, {}, pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    for network in ("student", "teacher"):
        backbone = getattr(model, f"{network}_backbone")
        train, test = (
            features_of(backbone, dataset, split)[:2] for split in (TRAIN.value, TEST.value)
        )
        results[network] = {}
        for protocol in CHOSEN.value:
            results[network] |= PROTOCOLS[protocol](backbone, train, test)
        some = slice(2000)
        figures[f"Test images as the {network} sees them (t-SNE)"] = visualization.plot_embedding(
            test[0][some],
            test[1][some],
            class_names=source_of(dataset, TEST.value).class_names,
            seed=SEED.value,
            path=folder / f"{network}_embedding.png",
        )
    rows = [
        ["", *results],
        *([name, *(results[n][name] for n in results)] for name in results["student"]),
    ]
    facts = {"model": MODEL.value, "data": IMAGE_FOLDER.value or DATASET.value, "seed": SEED.value}
    print(f"\n{'':<40}{'student':>10}{'teacher':>10}")
    for name, *values in rows[1:]:
        print(f"{name:<40}" + "".join(f"{value:>10.3f}" for value in values))
    (folder / "results.json").write_text(json.dumps({**facts, "results": results}, indent=2))
    title = f"What {pathlib.Path(MODEL.value).name} has learned"
    visualization.write_report(folder / "report.html", title, facts, {"Accuracy": rows}, figures)
    print(f"report: {folder / 'report.html'}")


if __name__ == "__main__":
    app.run(main)
