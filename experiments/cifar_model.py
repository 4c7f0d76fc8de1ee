"""The model of a run of `experiments/cifar.py`: method, recipe, heads, and a frozen teacher."""

import json
import zlib

import cifar_images
import keras
import numpy as np
from absl import app, flags
from configurations import PRESETS

import keras_isd

RECIPES = {
    "isd": "cifar_resnet18",
    "moco": "moco_cifar_resnet18",
    "byol": "byol_cifar_resnet18",
    "msf": "msf_cifar_resnet18",
    "ressl": "ressl_cifar_resnet18",
    "distillation": "distillation_cifar_resnet18",  # of the teacher of --teacher_features
}
HIDDEN = 512  # units of the hidden layer of a student's head

PRESET = flags.DEFINE_enum("preset", "full", list(PRESETS), "Scale of the run.")
METHOD = flags.DEFINE_enum("method", "isd", list(RECIPES), "Method to train with.")
EPOCHS = flags.DEFINE_integer("epochs", None, "Passes over the images, instead of the preset's.", 1)
LEARNING_RATE = flags.DEFINE_float("learning_rate", None, "Instead of the recipe's.")
VIEWS = flags.DEFINE_list(
    "views", None, "The query's and the key's view, such as strong,weak; by default the recipe's."
)
HEADS_OF = flags.DEFINE_string("heads_of", None, "Recipe to take projector and predictor from.")
EMBEDDING_DIM = flags.DEFINE_integer(
    "embedding_dim", None, "Width of the embeddings of ISD, BYOL and MSF, instead of the recipe's."
)
POLICY = flags.DEFINE_string("policy", "float32", "Or mixed_bfloat16, mixed_float16.")
SET = flags.DEFINE_multi_string(
    "set",
    [],
    "Arguments of the model as NAME=JSON,NAME=JSON; the last assignment of a name counts.",
)
BACKBONE_OF = flags.DEFINE_string(
    "backbone_of", None, "File .keras of a trained model, whose student's backbone to start from."
)
TEACHER_FEATURES = flags.DEFINE_string(
    "teacher_features", None, "File .npy of the teacher's features, one row per training image."
)
ANCHORS = flags.DEFINE_enum(
    "anchors", "queue", ["queue", "all"], "The teacher's recent features, or those of all images."
)
STUDENT_HEADS = flags.DEFINE_enum(
    "student_heads",
    "linear",
    ["linear", "mlp", "predictor"],
    "A linear projector, one of two layers, or a linear one and a predictor of two layers.",
)


@flags.validator("set", "must be NAME=JSON,NAME=JSON")
def _has_assignments(values):
    return all("=" in pair for pairs in values for pair in pairs.split(","))


def resolve_settings(preset, recipe):
    """The settings that follow from recipe, preset and flags."""
    given = dict(pair.split("=", 1) for pairs in SET.value for pair in pairs.split(","))
    scale = {name: value for name, value in preset.model.items() if name in recipe.model}
    rate = LEARNING_RATE.value
    return {
        "views": VIEWS.value or [view.__name__ for view in recipe.views],
        "learning_rate": recipe.sgd["learning_rate"] if rate is None else rate,
        "epochs": EPOCHS.value or preset.epochs or recipe.epochs,
        "batch_size": preset.batch_size or recipe.batch_size,
        "model": {**recipe.model, **scale, **{n: json.loads(v) for n, v in given.items()}},
    }


def load_teacher_features(rows, split_size):
    """The teacher's features of some rows of the training split, `(N, D)`, and a fingerprint."""
    if not TEACHER_FEATURES.value:
        raise app.UsageError("--method=distillation requires --teacher_features. Received: None")
    features = np.load(TEACHER_FEATURES.value, mmap_mode="r")
    if len(features) != split_size:
        raise app.UsageError(
            f"--teacher_features must have a row for each of the {split_size} training images. "
            f"Received: {features.shape}"
        )
    sample = features[np.linspace(0, len(features) - 1, 100).astype(int)]
    return features[rows], zlib.crc32(np.ascontiguousarray(sample), len(features))


def _distillation_arguments(width, features):
    """Arguments of `keras_isd.DistillationModel` for a backbone with `width` features."""
    dim = features.shape[1]
    arguments = {"teacher": dim, "teacher_center": features.mean(axis=0)}
    if ANCHORS.value == "all":
        arguments["anchors"] = features
    if STUDENT_HEADS.value == "mlp":
        arguments["projector"] = keras_isd.heads.mlp(width, HIDDEN, dim, name="projector")
    if STUDENT_HEADS.value == "predictor":
        arguments["predictor"] = keras_isd.heads.mlp(dim, HIDDEN, dim, name="predictor")
    return arguments


def make_model(preset, settings, features, steps_per_epoch):
    """The compiled model of the settings; `features` are a frozen teacher's, or None."""
    keras.mixed_precision.set_global_policy(POLICY.value)
    name = RECIPES[METHOD.value]
    arguments = {}
    if BACKBONE_OF.value:
        arguments["backbone"] = keras.models.load_model(BACKBONE_OF.value).student_backbone
    elif preset.filters:
        arguments["backbone"] = keras_isd.backbones.ConvNet((32, 32, 3), preset.filters)
    width = arguments["backbone"].output_shape[-1] if arguments else 512
    if HEADS_OF.value or EMBEDDING_DIM.value:
        recipe = keras_isd.recipes.get_recipe(HEADS_OF.value or name)
        dim = {"dim": EMBEDDING_DIM.value} if EMBEDDING_DIM.value else {}
        heads = recipe.heads(width, **dim)
        arguments |= {"projector": None, "predictor": None, **heads}
    if features is not None:
        arguments |= _distillation_arguments(width, features)
    arguments |= settings["model"]
    if cifar_images.VIEWS_ON.value == "device":
        query, key = cifar_images.make_augmenters(settings["views"])
        arguments |= {"query_augmenter": query, "seed": cifar_images.SEED.value}
        if features is None:
            arguments["key_augmenter"] = key
        if arguments.get("small_views"):
            arguments["small_query_augmenter"] = cifar_images.small_view(query)
    model = keras_isd.recipes.get_recipe(name).method.from_recipe(name, **arguments)
    model.compile(
        keras_isd.optimizers.from_recipe(
            name, steps_per_epoch, settings["epochs"], learning_rate=settings["learning_rate"]
        )
    )
    return model
