"""Evaluates features with labelled images.

    keras-isd evaluate LABELLED --model=RUN
    keras-isd evaluate TRAIN --test=TEST --model=RUN --output=evaluation
    keras-isd evaluate tfds:cifar10/train --test=tfds:cifar10/test --model=cifar.keras --size=32 \\
        --statistics=cifar10 --protocols=knn,linear,few_labels,transfer,unbalanced \\
        --transfer_to=tfds:cifar100/train

LABELLED is a folder with a subfolder for each class. Without `--test` a fifth of each class is
classified by the other images. Columns compare pixels, an untrained network of the same kind, the
student, and the teacher if it is a copy of the student. Protocols: `knn` (nearest neighbours),
`linear` (a linear layer at its optimum), `few_labels` (the same on 1 % and 10 % of the labels),
`transfer` (the same on other labelled images) and `unbalanced` (1-NN over all and over the rare
classes, the others being `--large_classes`). `--output` ending in .json gets the numbers, any other
becomes a folder with results.json, t-SNE figures and report.html.
"""

import json
import pathlib

import numpy as np

import keras_isd
from keras_isd.command.images import (
    add_labelled_arguments,
    add_model_arguments,
    load_model,
    read_labelled,
    split_by_class,
    split_labelled,
)
from keras_isd.command.values import comma_list, path

PROTOCOLS = ("knn", "linear", "few_labels", "transfer", "unbalanced")
MAX_DRAWN = 2000  # images of a t-SNE figure
WITH_INTERVAL = ("1-NN", "20-NN", "200-NN, weighted", "linear", "linear, top-5")


def add_arguments(parser):
    add_labelled_arguments(parser)
    add_model_arguments(parser)
    add = parser.add_argument
    add("--protocols", type=comma_list, default=["knn", "linear"], help=", ".join(PROTOCOLS))
    add("--transfer_to", type=path, metavar="IMAGES", help="labelled images for `transfer`")
    add("--large_classes", type=comma_list, default=["0", "1"], help="classes that are not rare")
    add("--output", type=path, help="file .json, or folder of a report")


def run(arguments):
    _check(arguments)
    train, test = split_labelled(arguments)
    model, view = load_model(arguments)
    import keras

    keras.utils.set_random_seed(arguments.seed)
    networks = keras_isd.training.report.baseline_networks(model)
    teacher = getattr(model, "teacher_backbone", None)
    if teacher is not None:
        networks["teacher"] = lambda views: teacher.predict(views, verbose=0)
    parts = [_views(source, view) for source in (train, test)]
    transfer = _transfer_parts(arguments, view) if "transfer" in arguments.protocols else None
    results, features = {}, {}
    for name, network in networks.items():
        bank, queries = _features_of_both(network, parts)
        labels, truth = parts[0][1], parts[1][1]
        features[name] = queries
        results[name] = _measure(arguments, bank, labels, queries, truth)
        if transfer:
            others = _features_of_both(network, transfer)
            known, unknown = ((f, part[1]) for f, part in zip(others, transfer))
            results[name] |= _transfer(arguments, known, unknown)
    largest = float(np.bincount(parts[1][1]).max() / len(parts[1][1]))
    print(f"{len(parts[0][1]):,} images to learn from, {len(parts[1][1]):,} to classify")
    print(f"{'':<28}" + "".join(f"{name:>12}" for name in results) + "   student, 95 % interval")
    for row, value in results["student"].items():
        line = f"{row:<28}" + "".join(f"{columns[row]:>12.3f}" for columns in results.values())
        if row in WITH_INTERVAL:
            interval = keras_isd.evaluation.uncertainty.format_interval
            line += "   " + interval(value, len(parts[1][1]), ".3f")
        print(line)
    print(f"The largest class alone has a share of {largest:.3f}.")
    read = test.subset(parts[1][2])
    effects = keras_isd.training.report.group_effects(read, features["student"])
    for line in keras_isd.training.verdict.verdict({}, None, "labels", effects=effects):
        print(line)
    if arguments.output:
        _write(arguments, {"chance": largest, **results}, features, parts[1][1], test.class_names)


def _check(arguments):
    if {"linear", "few_labels", "transfer"} & set(arguments.protocols):
        keras_isd.evaluation.logistic.require_scikit_learn()  # before anything is computed
    if unknown := sorted(set(arguments.protocols) - set(PROTOCOLS)):
        arguments.fail(f"--protocols must be among {', '.join(PROTOCOLS)}. Received: {unknown}")
    if ("transfer" in arguments.protocols) != bool(arguments.transfer_to):
        arguments.fail(
            "--transfer_to must be given for the protocol transfer and for no other. "
            f"Received: --protocols={','.join(arguments.protocols)}, "
            f"--transfer_to={arguments.transfer_to}"
        )
    if not all(name.isdigit() for name in arguments.large_classes):
        arguments.fail(
            "--large_classes must be numbers of classes. "
            f"Received: {','.join(arguments.large_classes)}"
        )


def _views(source, view):
    """Views of the readable images, their labels and their rows."""
    views, rows = keras_isd.data.batches.view_batches.readable_views(source, view)
    return views, source.labels[rows], rows


def _features_of_both(network, parts):
    """Features of both parts, computed together, since some baselines depend on all images."""
    (first, *_), (second, *_) = parts
    features = network(np.concatenate([first, second]))
    return features[: len(first)], features[len(first) :]


def _transfer_parts(arguments, view):
    others = read_labelled(arguments.transfer_to, arguments)
    return [_views(part, view) for part in split_by_class(others, arguments.seed)]


def _measure(arguments, bank, labels, queries, truth):
    """Accuracies of a network's features by the protocols but transfer."""
    evaluation, seed, found = keras_isd.evaluation, arguments.seed, {}
    if "knn" in arguments.protocols:
        for name, result in evaluation.knn_accuracies(bank, labels, queries, truth).items():
            found[name] = result["top1"]
    if "linear" in arguments.protocols:
        result = _fit_linear(bank, labels, queries, truth, seed)
        found |= {"linear": result["top1"], "linear, top-5": result["top5"]}
    if "few_labels" in arguments.protocols:
        by_fraction = evaluation.few_labels(
            labels,
            lambda rows, draw: _fit_linear(bank[rows], labels[rows], queries, truth, draw),
            seeds=range(seed, seed + 3),
        )
        for fraction, result in by_fraction.items():
            found[f"{fraction:.0%} of labels"] = result["mean"]
            found[f"{fraction:.0%} of labels, spread"] = result["std"]
    if "unbalanced" in arguments.protocols:
        rare = _rare_classes(arguments, truth)
        result = evaluation.unbalanced_accuracy(
            bank, labels, queries, truth, rare_classes=rare, seed=seed
        )
        found |= {"1-NN, balanced": result["all"], "1-NN, rare classes": result["rare"]}
    return found


def _fit_linear(bank, labels, queries, truth, seed):
    """Accuracies of a linear layer at its optimum, its penalty chosen on held-out images."""
    options = {}
    if np.bincount(labels).max() < 2:  # no class has an image to hold out
        options["strengths"] = [1e-2]
    return keras_isd.evaluation.logistic_regression(
        bank, labels, queries, truth, seed=seed, **options
    )


def _rare_classes(arguments, truth):
    classes, large = set(np.unique(truth).tolist()), set(map(int, arguments.large_classes))
    if not large < classes:
        raise ValueError(
            f"--large_classes must be some of the classes 0 to {max(classes)}, not all. "
            f"Received: {','.join(arguments.large_classes)}"
        )
    return sorted(classes - large)


def _transfer(arguments, known, unknown):
    (bank, labels), (queries, truth) = known, unknown
    result = keras_isd.evaluation.logistic_regression(
        bank, labels, queries, truth, seed=arguments.seed
    )
    return {"transfer": result["top1"]}


def _write(arguments, results, features, labels, class_names):
    output = pathlib.Path(arguments.output)
    text = json.dumps(results, indent=1)
    if output.suffix == ".json":
        keras_isd.files.write_text(output, text)
        return
    output.mkdir(parents=True, exist_ok=True)
    keras_isd.files.write_text(output / "results.json", text)
    figures = {}
    for name in ("student", "teacher"):
        if name in features:
            figures[f"Test images by the {name}'s features (t-SNE)"] = (
                keras_isd.visualization.plot_embedding(
                    features[name][:MAX_DRAWN],
                    labels[:MAX_DRAWN],
                    class_names=class_names,
                    seed=arguments.seed,
                    path=output / f"{name}_embedding.png",
                )
            )
    networks = [name for name in results if name != "chance"]
    rows = [[row, *(results[name][row] for name in networks)] for row in results["student"]]
    facts = {"model": arguments.model, "images": arguments.images, "seed": arguments.seed}
    title = f"Evaluation of {pathlib.Path(arguments.model).name}"
    table = {"Accuracy": [["", *networks], *rows]}
    keras_isd.visualization.write_report(output / "report.html", title, facts, table, figures)
    print(f"report: {output / 'report.html'}")
