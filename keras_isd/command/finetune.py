"""Trains a classifier from the network of a run and labelled images.

    keras-isd finetune LABELLED --model=RUN --output=classifier
    keras-isd finetune LABELLED --test=TEST --model=RUN --output=classifier --fraction=0.01
    keras-isd finetune selected.csv --model=RUN --output=classifier --classify=IMAGES

LABELLED is a folder with a subfolder for each class, or a table .csv with columns path (or name)
and label, such as keras-isd select writes, with its labels filled in. Three kinds of classifier are
compared by cross-validation (with --group, by groups), and the best is kept: a linear layer on the
frozen features, the vote of the nearest images, and, from fifty labels on, the whole network
trained further. The whole network is kept only if it is better beyond chance. With `--untrained`
the same network trained from scratch is judged as well. The output folder gets the classifier
(classifier.keras), the classes and the view that it takes (classes.json, view.json), and with
`--classify` a table of other images and their classes (labels.csv).
"""

import json
import pathlib

import numpy as np

import keras_isd
from keras_isd.command.images import add_labelled_arguments, read_images, read_labelled
from keras_isd.command.tables import write_table
from keras_isd.command.values import fraction, path, positive_float, positive_int

BATCH_SIZE, STEPS, MIN_EPOCHS, MAX_EPOCHS = 50, 1000, 20, 100
FEW_LABELS = 50  # below which the whole network is not trained, unless asked for
FOLDS, NETWORK_FOLDS = 5, 3  # of cross-validation, without and with the whole network
SIGNIFICANT = 0.05
SCRATCH_LEARNING_RATE = 0.05  # an untrained network still has to find its features
LINEAR, NEIGHBORS = "linear layer", "nearest images"
NETWORK, SCRATCH = "whole network, pretrained", "whole network, from scratch"


def add_arguments(parser):
    add_labelled_arguments(parser)
    add = parser.add_argument
    add("--model", type=path, required=True, help="folder of a run")
    add("--output", type=path, required=True, help="folder of the classifier")
    add("--fraction", type=fraction, help="share of the labels to use, drawn by class")
    add("--whole_network", action="store_true", help="train the network also from few labels")
    add("--epochs", type=positive_int, help="epochs; 20 to 100, for 1,000 steps, if not given")
    add("--learning_rate", type=positive_float, default=0.02, help="initial learning rate")
    add("--untrained", action="store_true", help="judge the network from scratch as well")
    add("--classify", type=path, metavar="IMAGES", help="unlabelled images to classify")


def run(arguments):
    folder = pathlib.Path(arguments.output)
    _check(arguments, folder)
    train = read_labelled(arguments.images, arguments)
    test = arguments.test and read_labelled(arguments.test, arguments, train.class_names, classes=1)
    if arguments.fraction:
        labels = train.labels
        rows = keras_isd.data.label_fraction(labels, arguments.fraction, arguments.seed)
        train = train.subset(rows)
    folder.mkdir(parents=True, exist_ok=True)
    model, view = keras_isd.training.load_run(arguments.model)
    others = arguments.classify and read_images(arguments.classify, arguments)
    classifier = _choose(arguments, model.student_backbone, view, train, test)
    with keras_isd.files.atomic_path(folder / "classifier.keras") as unfinished:
        classifier.save(unfinished)
    names = train.class_names or [str(label) for label in range(train.labels.max() + 1)]
    keras_isd.files.write_text(folder / "classes.json", json.dumps(names, indent=1))
    view_file = pathlib.Path(arguments.model, "view.json")
    keras_isd.files.write_bytes(folder / "view.json", view_file.read_bytes())
    print(f"saved {folder / 'classifier.keras'}")
    if others:
        _classify(classifier, others, view, names, folder / "labels.csv")
    if arguments.images.endswith(".csv"):
        print(
            "to label more: keras-isd select FEATURES --count=COUNT "
            f"--labelled={arguments.images} --output=more.csv; label them, and run with more.csv"
        )


def _check(arguments, folder):
    keras_isd.evaluation.logistic.require_scikit_learn()  # before anything is computed
    if (folder / "run.json").is_file():
        raise ValueError(f"--output must not be the folder of a run. Received: {folder}")
    labels = (folder / "labels.csv").absolute()
    if arguments.classify and pathlib.Path(arguments.images).absolute() == labels:
        raise ValueError(
            "--output must not be the folder of the labelled table, which --classify overwrites. "
            f"Received: {folder}"
        )


def _choose(arguments, backbone, view, train, test):
    """Compares the kinds of classifiers, and returns the best one, fitted to all labels."""
    evaluation = keras_isd.evaluation
    known = evaluation.extract_features(backbone, _batches(train, view), verbose=0)
    train, labels = train.subset(known.indices), known.labels
    count = int(labels.max()) + 1
    is_network = arguments.whole_network or arguments.untrained or len(labels) >= FEW_LABELS
    folds = evaluation.make_folds(
        labels, train.groups, NETWORK_FOLDS if is_network else FOLDS, arguments.seed
    )
    linear = evaluation.cross_validate_linear(known.features, labels, folds)
    neighbors = evaluation.cross_validate_neighbors(known.features, labels, folds)
    found = {LINEAR: linear.is_correct, NEIGHBORS: neighbors.is_correct}
    make = {
        LINEAR: lambda: evaluation.linear_classifier(
            backbone, known.features, labels, count, linear.setting
        ),
        NEIGHBORS: lambda: evaluation.neighbor_classifier(
            backbone, known.features, labels, count, neighbors.setting
        ),
        NETWORK: lambda: _fine_tune(arguments, backbone, train, count, arguments.learning_rate),
    }
    if is_network:
        found[NETWORK] = _cross_validate_network(arguments, backbone, train, view, folds)
    if arguments.untrained:
        untrained = _untrained(arguments, backbone)
        found[SCRATCH] = _cross_validate_network(
            arguments, untrained, train, view, folds, SCRATCH_LEARNING_RATE
        )
    kept, reason = choose_classifier({name: found[name] for name in make if name in found})
    by_group = "" if train.groups is None else ", by groups"
    print(f"{len(labels):,} labelled images, {len(folds)} parts classified in turn{by_group}")
    for name, is_correct in found.items():
        print(f"{name:<33}{_format(is_correct)}")
    print(f"kept: {kept}, {reason}")
    classifier = make[kept]()
    if test:
        print(f"{f'{len(test):,} test images':<33}{_format(_hits(classifier, test, view))}")
    return classifier


def _format(is_correct):
    """An accuracy with its 95 % interval."""
    share, count = is_correct.mean(), len(is_correct)
    return keras_isd.evaluation.uncertainty.format_share(share, count, ".3f")


def choose_classifier(found):
    """Chooses a classifier by the images that each kind classified correctly.

    A frozen network is preferred: it takes little time, and keeps its features for other uses.

    Args:
        found: dict from the name to `(N,)` bools.

    Returns:
        Pair of the name and the reason, str.
    """
    frozen = {name: found[name] for name in (LINEAR, NEIGHBORS)}
    kept = max(frozen, key=lambda name: frozen[name].mean())
    if NETWORK in found:
        gain = found[NETWORK].mean() - found[kept].mean()
        chance = keras_isd.evaluation.mcnemar_test(found[NETWORK], found[kept])
        difference = f"by {abs(gain):.3f} (p = {chance:.2g})"
        if gain > 0 and chance < SIGNIFICANT:
            return NETWORK, f"better than the {kept} {difference}"
        order = "worse" if gain < 0 else "better, but not beyond chance," if gain else "no better"
        return kept, f"since the whole network is {order} {difference}"
    other = NEIGHBORS if kept == LINEAR else LINEAR
    gain = found[kept].mean() - found[other].mean()
    chance = keras_isd.evaluation.mcnemar_test(found[kept], found[other])
    return kept, f"better than the {other} by {gain:.3f} (p = {chance:.2g})"


def _cross_validate_network(arguments, backbone, source, view, folds, learning_rate=None):
    """Whether each image is classified correctly by a network trained on the other parts."""
    is_correct = np.zeros(len(source), bool)
    for fitted, classified in folds:
        classifier = _fine_tune(
            arguments,
            backbone,
            source.subset(fitted),
            int(source.labels.max()) + 1,
            learning_rate or arguments.learning_rate,
        )
        is_correct[classified] = _hits(classifier, source.subset(classified), view)
    return is_correct


def _untrained(arguments, backbone):
    import keras

    keras.utils.set_random_seed(arguments.seed)
    return keras.models.clone_model(backbone)


def _fine_tune(arguments, backbone, source, classes, learning_rate):
    """A classifier trained on weak views: a crop and a flip."""
    import keras

    keras.utils.set_random_seed(arguments.seed)
    statistics = keras_isd.training.run_folder.read_statistics(arguments.model)
    weak = keras_isd.augmentation.weak(*statistics)
    batch_size = min(BATCH_SIZE, len(source))
    batches = keras_isd.data.ViewBatches(source, None, weak, batch_size, seed=arguments.seed)
    return keras_isd.evaluation.fine_tuned_classifier(
        backbone,
        batches,
        classes,
        arguments.epochs or min(MAX_EPOCHS, max(MIN_EPOCHS, STEPS // len(batches))),
        learning_rate,
        seed=arguments.seed,
    )


def _batches(source, view):
    return keras_isd.data.ViewBatches(source, None, view, 100)


def _hits(classifier, source, view):
    """Whether each image of a source is classified correctly; an unreadable one is not."""
    found = keras_isd.evaluation.extract_features(classifier, _batches(source, view), verbose=0)
    is_correct = np.zeros(len(source), bool)
    is_correct[found.indices] = found.features.argmax(axis=1) == found.labels
    return is_correct


def _classify(classifier, source, view, names, output):
    """Writes the predicted class of each image, and its probability."""
    from keras import ops

    batches = _batches(source, view)
    scores = keras_isd.evaluation.extract_features(classifier, batches, verbose=0)
    shares = ops.convert_to_numpy(ops.softmax(scores.features))
    files = source.names or [f"row {row}" for row in range(len(source))]
    if source.names:
        files = [*map(keras_isd.data.fingerprint.absolute_name, files)]
    found = zip(scores.indices, shares.argmax(axis=1), shares.max(axis=1))
    table = [(files[row], names[label], float(share)) for row, label, share in found]
    write_table(output, ["name", "label", "probability"], table)
