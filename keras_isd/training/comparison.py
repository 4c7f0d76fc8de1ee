"""What a network has learned, beside pixels, an untrained network of its kind, and chance."""

import keras
import numpy as np

from keras_isd.evaluation import effective_rank, knn_accuracies, view_retrieval

PIXELS = 16  # of a side, of images as their own features
CLASSES = 30  # in a table, the largest ones, at most


def networks_beside(model):
    """Functions from views `(N, H, W, C)` to features: of the student, and what it stands beside.

    Args:
        model: trained model, with a `student_backbone`.

    Returns:
        Dict from `"pixels"`, `"untrained"` and `"student"`.
    """
    untrained = keras.models.clone_model(model.student_backbone)
    return {
        "pixels": _pixels,
        "untrained": lambda views: untrained.predict(views, verbose=0),
        "student": lambda views: model.student_backbone.predict(views, verbose=0),
    }


def fifth_of_each_class(labels, seed):
    """Rows of a fifth of each class, rounded down, drawn at random: to be classified."""
    order = np.random.RandomState(seed).permutation(len(labels))
    chosen = []
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        chosen.append(rows[: len(rows) // 5])
    return np.sort(np.concatenate(chosen))


def compare_without_labels(networks, first, second):
    """What each network makes of two views of the same images: shares, and rows of a table.

    The shares are of images whose other view is nearest: dict from `"chance"` and the networks.
    """
    features = {name: (network(first), network(second)) for name, network in networks.items()}
    nearest = {name: view_retrieval(*pair) for name, pair in features.items()}
    nearest = {"chance": 1 / len(first), **nearest}
    # Pixels spread over many directions that say nothing of what is seen.
    ranks = [
        "" if name == "pixels" else f"{effective_rank(of_first):.0f}"
        for name, (of_first, _) in features.items()
    ]
    return nearest, [
        ["", *nearest],
        [f"other view nearest, of {len(first):,} images", *map(_share, nearest.values())],
        ["rank: directions that features spread over", "", *ranks],
    ]


def tables_by_labels(networks, views, labels, class_names, seed):
    """Rows of two tables: accuracies, and of the largest classes the student's.

    A fifth of each class is classified by the others; None where there are no five of any.
    """
    test = fifth_of_each_class(labels, seed)
    if not len(test):
        return None
    train = np.setdiff1d(np.arange(len(labels)), test)
    found = {}
    for name, network in networks.items():
        features = network(views)
        found[name] = knn_accuracies(features[train], labels[train], features[test], labels[test])
    numbers, counts = np.unique(labels[test], return_counts=True)
    accuracies = [["", "largest class", *networks]]
    for row in found["student"]:
        values = (columns[row]["top1"] for columns in found.values())
        accuracies.append([row, *map(_share, (counts.max() / len(test), *values))])
    largest = np.sort(np.argsort(-counts, kind="stable")[:CLASSES])
    of_classes = [["class", "images classified", "20-NN"]]
    for number, count in zip(numbers[largest], counts[largest]):
        name = class_names[number] if class_names else str(number)
        right = found["student"]["20-NN"]["per_class"][int(number)]
        of_classes.append([name, str(count), _share(right)])
    return accuracies, of_classes


def _pixels(views):
    side = min(PIXELS, views.shape[1])
    small = keras.ops.image.resize(views, (side, side), antialias=True, data_format="channels_last")
    return keras.ops.convert_to_numpy(small).reshape(len(views), -1)


def _share(value):
    return f"{value:.1%}"
