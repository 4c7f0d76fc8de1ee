"""Makes a small network of a large pretrained one, for your own images: similarity distillation.

    python examples/distill.py --image_folder=DIR --teacher=EfficientNetV2B0
    python examples/distill.py --image_folder=DIR --teacher=dinov2_small    # extra [hub]
    python examples/distill.py --image_folder=DIR --teacher=teacher.keras --teacher_size=224
    python examples/distill.py --image_folder=DIR --teacher_features=features.npy

The teacher's features of all images are computed once, to `teacher_features.npy` in the output
folder, and go on where they were stopped; the student then learns from them alone, and goes on too.
The teacher is a network of `keras.applications`, a preset of keras-hub, a `.keras` file of a model
from images in [0, 255] to features, or one of any framework whose features lie in a `.npy` file, a
row an image, in the order that `keras_isd.data.from_folder(DIR).names` tells.
"""

import quiet_start  # noqa: F401, before all else

# isort: split
import pathlib

import keras
import numpy as np
import run_flags
from absl import app, flags

import keras_isd
from keras_isd import augmentation

IMAGE_FOLDER = flags.DEFINE_string("image_folder", None, "Images; labels are not used.")
DATASET = flags.DEFINE_string("dataset", "cifar10", "Or a set of TensorFlow Datasets.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where it is, or is to be put.")
SPLIT = flags.DEFINE_string("split", "train", "Its split.")
TEACHER = flags.DEFINE_string(
    "teacher", None, "Of keras.applications or keras-hub, or a .keras file."
)
TEACHER_WEIGHTS = flags.DEFINE_string("teacher_weights", "imagenet", "Of keras.applications.")
TEACHER_SIZE = flags.DEFINE_integer("teacher_size", 224, "Pixels that the teacher sees.", 1)
TEACHER_FEATURES = flags.DEFINE_string("teacher_features", None, "File .npy, instead of a teacher.")
STUDENT = flags.DEFINE_enum("student", "resnet18", ["resnet18", "convnet"], "Network to be made.")
SIZE = flags.DEFINE_integer("size", 224, "Pixels that the student sees.", 1)
WIDTH = flags.DEFINE_integer("width", 64, "Of the student's first stage.", 1)
EPOCHS = flags.DEFINE_integer("epochs", 100, "Passes over the images.", 1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "", 1)
QUERY_VIEWS = flags.DEFINE_integer("query_views", 1, "Of the student's, of each image.", 1)
QUEUE_SIZE = flags.DEFINE_integer("queue_size", 4096, "Anchors, at most half of the images.", 1)
LEARNING_RATE = flags.DEFINE_float("learning_rate", 0.2, "Of the first epoch.", 0)
SEED = flags.DEFINE_integer("seed", 0, "Fixes weights, order and views, and so the run.")
OUTPUT = flags.DEFINE_string("output", "runs/distilled", "Folder of the run; it is gone on with.")


def images():
    if IMAGE_FOLDER.value:
        return keras_isd.data.from_folder(IMAGE_FOLDER.value)
    return keras_isd.data.from_tfds(DATASET.value, SPLIT.value, data_dir=DATA_DIR.value)


def teacher_features(source, folder):
    if TEACHER_FEATURES.value:
        return TEACHER_FEATURES.value
    if not TEACHER.value:
        raise app.UsageError("Give a --teacher, or --teacher_features. Received: neither")
    path = folder / "teacher_features.npy"
    pixels = augmentation.Augmenter([augmentation.CentralCrop(TEACHER_SIZE.value)])
    weights = None if TEACHER_WEIGHTS.value == "none" else TEACHER_WEIGHTS.value
    try:
        teacher = keras_isd.training.make_teacher(TEACHER.value, TEACHER_SIZE.value, weights)
    except ValueError as error:
        raise app.UsageError(f"--teacher cannot be made. {error}") from error
    keras_isd.evaluation.cache_features(teacher, source, pixels, path)
    return path


def make_student():
    shape = (SIZE.value, SIZE.value, 3)
    if STUDENT.value == "convnet":
        return keras_isd.backbones.ConvNet(shape, tuple(WIDTH.value * 2**i for i in range(4)))
    stem = "small" if SIZE.value <= 64 else "imagenet"
    return keras_isd.backbones.ResNet18(shape, stem, WIDTH.value)


def main(_):
    folder = pathlib.Path(OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    source = images()
    features = teacher_features(source, folder)
    keras.utils.set_random_seed(SEED.value)  # after the teacher, so that none changes the student
    rows = np.load(features, mmap_mode="r")
    resume = keras_isd.callbacks.Resume(folder / "checkpoints", every_n_steps=500)
    settings = {
        "learning_rate": LEARNING_RATE.value,
        "teacher_features": run_flags.fingerprint(rows),
    }
    run_flags.record(folder / "run.json", run_flags.facts(settings=settings), resume)
    batches = keras_isd.data.two_view_dataset(
        source,
        query=augmentation.strong(SIZE.value, blur=0.5 if SIZE.value > 64 else 0),
        key=None,
        batch_size=min(BATCH_SIZE.value, len(source)),
        seed=SEED.value,
        initial_epoch=resume.initial_epoch,
        initial_step=resume.initial_step,
        teacher_features=features,
        query_views=QUERY_VIEWS.value,
    )
    model = keras_isd.DistillationModel(
        make_student(),
        teacher=rows.shape[1],
        queue_size=min(QUEUE_SIZE.value, max(1, len(source) // 2)),
        query_views=QUERY_VIEWS.value,
        seed=SEED.value,
    )
    schedule = keras_isd.optimizers.epoch_cosine(LEARNING_RATE.value, EPOCHS.value, len(batches))
    model.compile(keras_isd.optimizers.SGD(schedule, momentum=0.9, weight_decay=5e-4))
    model.fit(
        batches,
        epochs=EPOCHS.value,
        initial_epoch=resume.initial_epoch,
        shuffle=False,  # the pipeline shuffles
        callbacks=[
            resume,
            keras_isd.callbacks.ReportUnreadable(source),
            keras.callbacks.CSVLogger(folder / "metrics.csv", append=True),
        ],
    )
    model.save(folder / "model.keras")
    print(f"saved {folder / 'model.keras'}: keras.models.load_model(...).student_backbone")


if __name__ == "__main__":
    app.run(main)
