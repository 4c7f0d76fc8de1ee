"""What `examples/cifar.py` adds for a student of a frozen teacher: its features, and the heads."""

import numpy as np
import run_flags
from absl import app, flags

import keras_isd

TEACHER_FEATURES = flags.DEFINE_string(
    "teacher_features", None, "File .npy of the teacher's features, a row a training image."
)
ANCHORS = flags.DEFINE_enum(
    "anchors", "queue", ["queue", "all"], "Recent features of the teacher, or those of all images."
)
STUDENT_HEADS = flags.DEFINE_enum(
    "student_heads",
    "linear",
    ["linear", "mlp", "predictor"],
    "A linear projector, one of two layers, or a linear one and a predictor of two layers.",
)
HIDDEN = 512  # numbers between the two layers


def features_of(rows, split_size):
    """The teacher's features of some rows of the training split, `(N, D)`, and a fingerprint."""
    if not TEACHER_FEATURES.value:
        raise app.UsageError("--method=distillation takes --teacher_features. Received: none")
    features = np.load(TEACHER_FEATURES.value, mmap_mode="r")
    if len(features) != split_size:
        raise app.UsageError(
            f"--teacher_features must have a row for each of the {split_size} training images. "
            f"Received: {features.shape}"
        )
    return features[rows], run_flags.fingerprint(features)


def model_arguments(width, features):
    """Arguments of `keras_isd.DistillationModel` with a backbone of so many features."""
    dim = features.shape[1]
    arguments = {"teacher": dim, "teacher_center": features.mean(axis=0)}
    if ANCHORS.value == "all":
        arguments["anchors"] = features
    if STUDENT_HEADS.value == "mlp":
        arguments["projector"] = keras_isd.heads.mlp(width, HIDDEN, dim, name="projector")
    if STUDENT_HEADS.value == "predictor":
        arguments["predictor"] = keras_isd.heads.mlp(dim, HIDDEN, dim, name="predictor")
    return arguments
