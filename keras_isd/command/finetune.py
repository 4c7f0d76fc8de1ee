"""Trains a classifier from the network of a run and labelled images.

    keras-isd finetune LABELLED --model=RUN --output=classifier
    keras-isd finetune LABELLED --test=TEST --model=RUN --output=classifier --fraction=0.01
    keras-isd finetune selected.csv --model=RUN --output=classifier --classify=IMAGES

LABELLED is a folder with a subfolder for each class, or a table .csv with columns path (or name)
and label, such as keras-isd select writes, with its labels filled in. Without `--test` a fifth of
each class is held out and classified. The whole network is trained with labels; its accuracy is
compared with a linear probe on the frozen features, and with `--untrained` with the same network
trained from scratch. The output folder gets the network (classifier.keras), the classes and the
view that it takes (classes.json, view.json), and with `--classify` a table of other images and
their classes (labels.csv).
"""

import json
import pathlib
import shutil

import keras_isd
from keras_isd.command.images import add_labelled_arguments, read_images, split_labelled
from keras_isd.command.tables import write_table
from keras_isd.command.values import fraction, path, positive_float, positive_int

BATCH_SIZE, STEPS, MIN_EPOCHS, MAX_EPOCHS = 50, 1000, 20, 100
FEW_IMAGES = 20  # to classify, below which accuracies are uncertain
SCRATCH_LEARNING_RATE = 0.05  # an untrained network still has to find its features


def add_arguments(parser):
    add_labelled_arguments(parser)
    add = parser.add_argument
    add("--model", type=path, required=True, help="folder of a run")
    add("--output", type=path, required=True, help="folder of the classifier")
    add("--fraction", type=fraction, help="share of the labels to use, drawn by class")
    add("--epochs", type=positive_int, help="epochs; 20 to 100, for 1,000 steps, if not given")
    add("--learning_rate", type=positive_float, default=0.02, help="initial learning rate")
    add("--untrained", action="store_true", help="train the network from scratch as well")
    add("--classify", type=path, metavar="IMAGES", help="unlabelled images to classify")


def run(arguments):
    folder = pathlib.Path(arguments.output)
    _check(arguments, folder)
    train, test = split_labelled(arguments)
    if arguments.fraction:
        labels = train.labels
        rows = keras_isd.data.label_fraction(labels, arguments.fraction, arguments.seed)
        train = train.subset(rows)
    folder.mkdir(parents=True, exist_ok=True)
    model, view = keras_isd.training.load_run(arguments.model)
    others = arguments.classify and read_images(arguments.classify, arguments)
    classifier, accuracies = _compare(arguments, model.student_backbone, view, train, test)
    few = ", so few that the accuracies are uncertain" * (len(test) < FEW_IMAGES)
    print(f"{len(train):,} images to learn from, {len(test):,} to classify{few}")
    for name, accuracy in accuracies.items():
        print(f"{name:<30}{accuracy:>8.3f}")
    classifier.save(folder / "classifier.keras")
    names = train.class_names or [str(label) for label in range(train.labels.max() + 1)]
    (folder / "classes.json").write_text(json.dumps(names, indent=1))
    shutil.copy(pathlib.Path(arguments.model, "view.json"), folder)
    print(f"saved {folder / 'classifier.keras'}")
    if others:
        _classify(classifier, others, view, names, folder / "labels.csv")


def _check(arguments, folder):
    if (folder / "run.json").is_file():
        raise ValueError(f"--output must not be the folder of a run. Received: {folder}")
    labels = (folder / "labels.csv").absolute()
    if arguments.classify and pathlib.Path(arguments.images).absolute() == labels:
        raise ValueError(
            "--output must not be the folder of the labelled table, which --classify overwrites. "
            f"Received: {folder}"
        )


def _compare(arguments, backbone, view, train, test):
    """Trains the classifier; returns it, and its accuracy next to those of its baselines."""
    evaluation = keras_isd.evaluation
    known, unknown = (
        evaluation.extract_features(backbone, _batches(part, view), verbose=0)
        for part in (train, test)
    )
    probe = evaluation.linear_probe(
        known.features, known.labels, unknown.features, unknown.labels, seed=arguments.seed
    )
    accuracies = {"linear probe": probe["top1"]}
    if arguments.untrained:
        import keras

        keras.utils.set_random_seed(arguments.seed)
        untrained = keras.models.clone_model(backbone)
        scratch = _fine_tune(arguments, untrained, train, SCRATCH_LEARNING_RATE)
        accuracies["whole network, from scratch"] = _accuracy(scratch, test, view)
    classifier = _fine_tune(arguments, backbone, train, arguments.learning_rate)
    accuracies["whole network, pretrained"] = _accuracy(classifier, test, view)
    return classifier, accuracies


def _fine_tune(arguments, backbone, source, learning_rate):
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
        int(source.labels.max()) + 1,
        arguments.epochs or min(MAX_EPOCHS, max(MIN_EPOCHS, STEPS // len(batches))),
        learning_rate,
        seed=arguments.seed,
    )


def _batches(source, view):
    return keras_isd.data.ViewBatches(source, None, view, 100)


def _accuracy(classifier, source, view):
    batches = _batches(source, view)
    found = keras_isd.evaluation.extract_features(classifier, batches, verbose=0)
    return float((found.features.argmax(axis=1) == found.labels).mean())


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
