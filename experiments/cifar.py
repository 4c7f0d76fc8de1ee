"""Trains ISD or another method on CIFAR-10 or CIFAR-100 and says what the features are worth.

    python examples/cifar.py --preset=cpu     # about eight minutes on two cores
    python examples/cifar.py --preset=full    # the recipe cifar_resnet18: 200 epochs, for a GPU
    python examples/cifar.py --flagfile=examples/recipes/FILE    # a recipe whose result is known

The data come through TensorFlow Datasets; `--data_dir=DIR` says where they are or are to go. On an
accelerator `--views_on=device --policy=mixed_bfloat16` is the fast way; with `--arrays=FILE.npz` it
takes no TensorFlow. Which of the images are used, and how, is in `cifar_images.py`.

The table holds accuracies of k-nearest-neighbour classifiers: one and twenty neighbours of one vote
each, and the 200 weighted ones that are the custom for CIFAR; after training on an unbalanced
`--subset` also those of one neighbour over all classes and over the rare ones alone. Beside the
model come its metrics by epoch (`.csv`), and the table with all flags and versions (`.json`), of
which `examples/cifar_table.py` makes tables of many runs; `examples/gpu_tables.py` makes the runs
of such tables, one after another.
"""

import quiet_start  # noqa: F401, before all else

# isort: split
import json
import pathlib
import statistics

import cifar_distillation
import cifar_images
import keras
import run_flags
import run_time
from absl import app, flags
from cifar_presets import PRESETS

import keras_isd
from keras_isd import augmentation, evaluation, visualization
from keras_isd.whole_file import write_text

RECIPES = {
    "isd": "cifar_resnet18",
    "moco": "moco_cifar_resnet18",
    "byol": "byol_cifar_resnet18",
    "msf": "msf_cifar_resnet18",
    "ressl": "ressl_cifar_resnet18",
    "distillation": "distillation_cifar_resnet18",  # of --teacher_features
}

PRESET = flags.DEFINE_enum("preset", "full", list(PRESETS), "Scale of the run.")
METHOD = flags.DEFINE_enum("method", "isd", list(RECIPES), "How to learn.")
EPOCHS = flags.DEFINE_integer("epochs", None, "Passes over the images, instead of the preset's.", 1)
LEARNING_RATE = flags.DEFINE_float("learning_rate", None, "Instead of the recipe's.")
VIEW_PAIR = flags.DEFINE_list("views", None, "Query's,key's: strong,weak; the recipe's if none.")
HEADS_OF = flags.DEFINE_string("heads_of", None, "Recipe to take projector and predictor from.")
POLICY = flags.DEFINE_string("policy", "float32", "Or mixed_bfloat16, mixed_float16.")
SET = flags.DEFINE_multi_string(
    "set", [], "Arguments of the model as NAME=JSON,NAME=JSON; of one given twice the last counts."
)
KNN_EVERY = flags.DEFINE_integer("knn_every", 0, "Epochs between k-NN accuracies; 0 for none.")
PLOT_VIEWS = flags.DEFINE_string("plot_views", None, "Where to save a picture of some views.")
RESUME = flags.DEFINE_string("resume", None, "Folder of checkpoints to go on from, and to write.")
OUTPUT = flags.DEFINE_string("output", "runs/cifar.keras", "File `.keras` for the trained model.")
BACKBONE_OF = flags.DEFINE_string(
    "backbone_of", None, "File .keras of a trained model, whose student's backbone is gone on with."
)
flags.adopt_module_key_flags(cifar_images)
flags.adopt_module_key_flags(cifar_distillation)
flags.adopt_module_key_flags(run_time)


@flags.validator("set", "must be NAME=JSON,NAME=JSON")
def _assigns(values):
    return all("=" in pair for pairs in values for pair in pairs.split(","))


@flags.validator("output", "must end in .keras, before hours of training are to be saved there")
def _can_be_saved(path):
    return path.endswith(".keras")


def accuracies(backbone, bank, queries, rare):
    """Accuracies of a network's features by several k-NN classifiers."""
    bank, queries = (
        evaluation.extract_features(backbone, cifar_images.labelled(*part), verbose=0)[:2]
        for part in (bank, queries)
    )
    results = evaluation.knn_accuracies(*bank, *queries)
    found = {name: result["top1"] for name, result in results.items()}
    if rare:
        both = evaluation.unbalanced_accuracy(*bank, *queries, rare_classes=rare)
        found |= {"1-NN, all classes": both["all"], "1-NN, rare classes": both["rare"]}
    return found


def settings_of(preset, recipe):
    """What recipe, preset and flags come to."""
    chosen = dict(pair.split("=", 1) for pairs in SET.value for pair in pairs.split(","))
    scale = {name: value for name, value in preset.model.items() if name in recipe.model}
    rate = LEARNING_RATE.value
    return {
        "views": VIEW_PAIR.value or [view.__name__ for view in recipe.views],
        "learning_rate": recipe.sgd["learning_rate"] if rate is None else rate,
        "epochs": EPOCHS.value or preset.epochs or recipe.epochs,
        "batch_size": preset.batch_size or recipe.batch_size,
        "model": {**recipe.model, **scale, **{n: json.loads(v) for n, v in chosen.items()}},
    }


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
    if HEADS_OF.value:
        heads = keras_isd.recipes.get_recipe(HEADS_OF.value).heads(width)
        arguments |= {"projector": None, "predictor": None, **heads}
    if features is not None:
        arguments |= cifar_distillation.model_arguments(width, features)
    arguments |= settings["model"]
    if cifar_images.VIEWS_ON.value == "device":
        query, key = cifar_images.augmenters(settings["views"])
        arguments |= {"query_augmenter": query, "seed": cifar_images.SEED.value}
        if features is None:
            arguments["key_augmenter"] = key
    model = keras_isd.recipes.get_recipe(name).method.from_recipe(name, **arguments)
    model.compile(
        keras_isd.optimizers.from_recipe(
            name, steps_per_epoch, settings["epochs"], learning_rate=settings["learning_rate"]
        )
    )
    return model


def callbacks_of(resume, clock, images, log):
    """What is called while a run goes on; the clock first, of which the log tells."""
    callbacks = [clock, *([resume] if resume else [])]
    if KNN_EVERY.value:
        parts = [cifar_images.labelled(*part) for part in (images.bank, images.queries)]
        callbacks.append(keras_isd.callbacks.KNNEvaluation(*parts, every_n_epochs=KNN_EVERY.value))
    return [*callbacks, keras.callbacks.CSVLogger(log, append=bool(resume))]


def main(_):
    if run_time.MINUTES.value is not None and not RESUME.value:
        raise app.UsageError("--minutes takes --resume, where the run goes on. Received: none")
    output = pathlib.Path(OUTPUT.value)
    output.parent.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(cifar_images.SEED.value)
    preset = PRESETS[PRESET.value]
    settings = settings_of(preset, keras_isd.recipes.get_recipe(RECIPES[METHOD.value]))
    images = cifar_images.sets(preset.train_images, preset.test_images)
    measured = (images.bank, images.queries, images.rare)
    features = None
    if METHOD.value == "distillation":
        features, which = cifar_distillation.features_of(images.rows, images.split_size)
        settings["teacher_features"] = which
    data = [cifar_images.fingerprint(part[0]) for part in (images.bank, images.queries)]
    facts = run_flags.facts(settings=settings, data=data)
    views, batch_size = settings["views"], settings["batch_size"]
    if PLOT_VIEWS.value:
        visualization.plot_views(
            cifar_images.two_views(images.train, views, batch_size, shuffle_buffer=0),
            statistics=augmentation.CIFAR10,
            originals=images.train[0],
            path=PLOT_VIEWS.value,
        )
    steps = 100 if cifar_images.VIEWS_ON.value == "host" else None  # where a run can go on
    resume = RESUME.value and keras_isd.callbacks.Resume(RESUME.value, every_n_steps=steps)
    if resume:
        run_flags.record(resume.directory / "run.json", facts, resume)
    place = {name: getattr(resume, name, 0) for name in ("initial_epoch", "initial_step")}
    batches = cifar_images.training_batches(
        images.train,
        features,
        views,
        batch_size,
        settings["model"].get("query_views", 1),
        **place,
    )
    model = make_model(preset, settings, features, len(batches))
    before = accuracies(model.student_backbone, *measured)
    clock = run_time.RunTime(batch_size, run_time.MINUTES.value)
    log = output.with_suffix(".csv")
    model.fit(
        batches,
        epochs=settings["epochs"],
        initial_epoch=place["initial_epoch"],
        shuffle=False,  # the batches are
        callbacks=callbacks_of(resume, clock, images, log),
    )
    if clock.stopped:
        print(f"stopped, as its time is up: the same command goes on from {RESUME.value}")
        return run_time.MORE_TO_DO
    columns = {
        "before" if BACKBONE_OF.value else "untrained": before,
        "student": accuracies(model.student_backbone, *measured),
    }
    if model.teacher_backbone is not None:  # else it was asked for its features alone
        columns["teacher"] = accuracies(model.teacher_backbone, *measured)
    report(columns, len(images.train[0]), len(images.queries[0]))
    model.save(output)
    # A run may have no epoch left to do, or a log that was begun without them.
    rates = visualization.read_csv_log(log).get("images_per_second")
    speed = {"images_per_second": statistics.median(rates)} if rates else {}
    table = {"accuracies": columns, **speed, **facts}
    write_text(output.with_suffix(".json"), json.dumps(table, indent=1))  # last: the run is done
    print(f"saved {output}: keras.models.load_model(...).student_backbone has the features")
    return 0


def report(columns, images, queries):
    of = f"{cifar_images.QUERIES.value} images of {cifar_images.DATASET.value}"
    print(f"\n{images:,} training and {queries:,} {of}, {METHOD.value}")
    print(f"{'':<20}" + "".join(f"{name:>10}" for name in columns))
    for row in columns["student"]:
        print(f"{row:<20}" + "".join(f"{found[row]:>10.3f}" for found in columns.values()))


if __name__ == "__main__":
    app.run(main)
