"""From a trained model to a classifier with few labels, and what pre-training bought.

    python examples/finetune.py --model=runs/cifar.keras --fraction=0.01
    python examples/finetune.py --model=FILE --image_folder=DIR --test_split=val

On CIFAR-10, or your own folder, with a subfolder for each split and in it one for each class,
`DIR/train/CLASS`.

Three classifiers of one architecture learn from the same labelled images: a linear layer on the
features as they are, the whole network from what it has learned without labels, and the whole
network from nothing. The second is saved as `.keras` and, on TensorFlow, exported as a SavedModel,
which serves scores without this package.
"""

import quiet_start  # noqa: F401, before all else

# isort: split
import pathlib

import keras
from absl import app, flags

import keras_isd
from keras_isd import augmentation, evaluation

MODEL = flags.DEFINE_string("model", None, "A saved model, `.keras`.", required=True)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps CIFAR-10.")
IMAGE_FOLDER = flags.DEFINE_string("image_folder", None, "Your own folder, instead of CIFAR-10.")
FRACTION = flags.DEFINE_float(
    "fraction",
    0.01,
    "Share of the training images that have a label.",
    lower_bound=0.0,
    upper_bound=1.0,
)
TRAIN = flags.DEFINE_string("train_split", "train", "Images to draw the labelled ones from.")
TEST = flags.DEFINE_string("test_split", "test", "Images to classify.")
STEPS = flags.DEFINE_integer("steps", 1000, "Of training the whole network.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "Of the labels that are drawn, weights, order and views.")
OUTPUT = flags.DEFINE_string("output", "runs/finetuned", "Folder for the classifier.")

BATCH_SIZE = 50
EPOCH = 100  # steps, at most: with few images a pass over them is hardly one


def source_of(split, class_names=None):
    if IMAGE_FOLDER.value:
        return keras_isd.data.from_folder(IMAGE_FOLDER.value, split, class_names=class_names)
    return keras_isd.data.from_tfds("cifar10", split, data_dir=DATA_DIR.value)


def classifier_on(backbone, classes, learning_rate, steps):
    """A plain Keras classifier on top of a backbone, images to a score for each class."""
    images = keras.Input(backbone.input_shape[1:], name="images")
    scores = keras.layers.Dense(classes, name="scores")(backbone(images))
    classifier = keras.Model(images, scores)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    classifier.compile(
        keras_isd.optimizers.SGD(schedule, momentum=0.9, weight_decay=1e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return classifier


def main(_):
    if not FRACTION.value:
        raise app.UsageError("--fraction must be above 0. Received: 0")
    keras.utils.set_random_seed(SEED.value)
    source = source_of(TRAIN.value)
    tests = source_of(TEST.value, source.class_names)
    backbone = keras.models.load_model(MODEL.value).student_backbone
    size = backbone.input_shape[1]
    # What the views of training had: of examples/cifar.py its own, of a folder the usual ones.
    of_cifar = size <= 64 and not IMAGE_FOLDER.value
    statistics = augmentation.CIFAR10 if of_cifar else augmentation.IMAGENET
    few = source.subset(keras_isd.data.label_fraction(source.labels, FRACTION.value, SEED.value))
    plain = augmentation.evaluation(size, statistics)
    test = keras_isd.data.one_view_dataset(tests, plain, 500)
    views = keras_isd.data.one_view_dataset(
        few,
        augmentation.weak(size, statistics),
        min(BATCH_SIZE, len(few)),
        seed=SEED.value,
        shuffle_buffer=len(few),
        drop_remainder=True,
    )
    classes = int(source.labels.max()) + 1
    epochs = -(-STEPS.value // EPOCH)
    length = STEPS.value // epochs

    features = [
        evaluation.extract_features(backbone, batches, verbose=0)[:2]
        for batches in (keras_isd.data.one_view_dataset(few, plain, 500), test)
    ]
    probe = evaluation.linear_probe(*features[0], *features[1], seed=SEED.value)
    untrained = keras.models.clone_model(backbone)
    found = {"linear layer on the features": probe["top1"]}
    # A pre-trained network wants a lower rate than one that is still to find its features.
    for name, network, rate in (
        ("whole network, from nothing", untrained, 0.05),
        ("whole network, pre-trained", backbone, 0.02),
    ):
        print(f"\n{name}:")
        classifier = classifier_on(network, classes, rate, epochs * length)
        arguments = {"steps_per_epoch": length, "epochs": epochs, "verbose": 2}
        classifier.fit(views.repeat(), shuffle=False, **arguments)
        scores = evaluation.extract_features(classifier, test, verbose=0)
        found[name] = float((scores.features.argmax(axis=1) == scores.labels).mean())

    print(f"\naccuracy on {len(tests):,} test images, from {len(few):,} labelled ones")
    for name, accuracy in found.items():
        print(f"{name:<30}{accuracy:>8.3f}")
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    classifier.save(folder / "classifier.keras")
    if keras.backend.backend() == "tensorflow":
        classifier.export(folder / "saved_model", verbose=False)
    print(f"saved {folder / 'classifier.keras'}")


if __name__ == "__main__":
    app.run(main)
