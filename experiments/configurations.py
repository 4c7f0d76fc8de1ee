"""The runs of RESULTS.md: the scales at which they run, and one table of configurations.

    python experiments/cifar.py --configuration=comparison_isd
    python experiments/imagenet.py --configuration=isd_imagenet_resnet50 --image_folder=DIR
    python experiments/configurations.py    # lists them, with expected accuracies and costs

A configuration sets flags of its script; flags on the command line take precedence.
"""

import dataclasses

from absl import app, flags


@dataclasses.dataclass(frozen=True)
class Preset:
    """Scale of a run; where a value is None, the recipe's applies."""

    filters: tuple[int, ...] | None = None  # channels of a ConvNet, instead of the recipe's ResNet
    train_images: int | None = None
    test_images: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    model: dict = dataclasses.field(default_factory=dict)


PRESETS = {
    "full": Preset(),
    # A ResNet, however narrow, learns little in so few steps.
    "cpu": Preset(
        filters=(24, 48, 96, 192),
        train_images=10_000,
        test_images=2_000,
        epochs=30,
        batch_size=64,
        model={"queue_size": 4096},
    ),
    # RESULTS.md compares methods at this scale: about three minutes on one core.
    "comparison": Preset(
        filters=(16, 32, 64, 128),
        train_images=10_000,
        test_images=5_000,
        epochs=15,
        batch_size=64,
        model={"queue_size": 4096},
    ),
    # Tests the program; learns nothing.
    "smoke": Preset(
        filters=(8, 16),
        train_images=256,
        test_images=64,
        epochs=1,
        batch_size=64,
        model={"queue_size": 128},
    ),
}


@dataclasses.dataclass(frozen=True)
class Configuration:
    """Flags of a script by name, the accuracies to expect, and the cost."""

    title: str
    expected: str
    cost: str
    flags: dict
    script: str = "experiments/cifar.py"


def _full_scale():
    """CIFAR at full scale: each method on each data set."""
    methods = {"isd": "ISD", "moco": "MoCo v2", "byol": "BYOL (asymmetric)"}
    images = {
        "cifar10": ("CIFAR-10", {"dataset": "cifar10"}),
        "cifar100": ("CIFAR-100", {"dataset": "cifar100"}),
        "cifar10_long_tail": (
            "CIFAR-10, class sizes decaying to a hundredth",
            {"dataset": "cifar10", "subset": "long_tail"},
        ),
        "cifar10_two_large": (
            "CIFAR-10, two whole classes and 100 images of each other class",
            {"dataset": "cifar10", "subset": "two_large"},
        ),
    }
    shared = {"preset": "full", "views_on": "device", "policy": "mixed_bfloat16", "knn_every": "10"}
    return {
        f"{method}_{data}": Configuration(
            f"{method_title} on {data_title}: ResNet-18, 200 epochs",
            expected="unknown: this scale has not been run; RESULTS.md has those that have",
            cost="200 epochs of a ResNet-18 at 32 pixels, a few hours on one GPU",
            flags={**shared, "method": method, **data_flags},
        )
        for method, method_title in methods.items()
        for data, (data_title, data_flags) in images.items()
    }


def _comparison(title, expected, cost="about three minutes on one core", **flags_):
    return Configuration(
        f"{title}, tuned on held-out training images, 15 epochs of 10,000 images of CIFAR-10",
        f"{expected} (three seeds)",
        cost,
        {"preset": "comparison", **flags_},
    )


def _imagenet(title, expected, recipe):
    return Configuration(
        f"{title} on ImageNet, 200 epochs",
        f"{expected}, published by the authors for their code; not yet run with this package",
        "200 epochs of 1.28 million images at 224 pixels; days on several GPUs",
        {"recipe": recipe, "policy": "mixed_bfloat16"},
        script="examples/imagenet.py",
    )


# The comparison's images are those of the copy that RESULTS.md names. Its unbalanced tables add
# --subset=two_large or --subset=long_tail, its other seeds --seed=1 and 2, each with an --output
# of its own. The teacher is an EfficientNet-Lite0 with ImageNet's labels; RESULTS.md has the lines
# that write its features.
CONFIGURATIONS = {
    **_full_scale(),
    "comparison_isd": _comparison(
        "ISD by its recipe",
        "1-NN 34.9, 20-NN 42.5, weighted 200-NN 40.7; spreads of 0.4 to 0.6",
        method="isd",
    ),
    "comparison_moco": _comparison(
        "MoCo v2",
        "1-NN 36.3, 20-NN 43.0, weighted 200-NN 42.2; spreads of 1.2 to 1.5",
        method="moco",
        learning_rate="0.05",
        set="shuffle_groups=1",
    ),
    "comparison_byol": _comparison(
        "BYOL (asymmetric)",
        "1-NN 34.8, 20-NN 41.6, weighted 200-NN 39.9; spreads of 0.4 to 0.9",
        method="byol",
        learning_rate="0.15",
        set="teacher_momentum=0.95",
    ),
    "comparison_msf": _comparison(
        "MSF (mean shift)",
        "1-NN 33.7, 20-NN 41.1, weighted 200-NN 39.2; spreads of 0.2 to 0.6",
        method="msf",
        learning_rate="0.1",
        set="teacher_momentum=0.95",
    ),
    "comparison_ressl": _comparison(
        "ReSSL",
        "1-NN 33.6, 20-NN 40.2, weighted 200-NN 38.7; spreads of 0.5 to 0.9",
        method="ressl",
        learning_rate="0.02",
    ),
    "comparison_distillation": _comparison(
        "A student of a frozen teacher",
        "1-NN 50.8, 20-NN 57.6, weighted 200-NN 56.4; spreads of 0.2 to 0.4",
        cost="three to five minutes on one core, and once ten on two for the teacher's features",
        method="distillation",
        teacher_features="runs/cifar10_efficientnet_lite0.npy",
    ),
    "isd_imagenet_resnet18": _imagenet(
        "ISD, ResNet-18,", "linear 53.8, 1-NN 41.5, 20-NN 46.6", "resnet18"
    ),
    "isd_imagenet_resnet50": _imagenet(
        'ISD ("ISD+"), ResNet-50,', "linear 69.8, 1-NN 59.2, 20-NN 62.0", "resnet50"
    ),
}


def names(script):
    """The configurations of a script."""
    return [name for name, found in CONFIGURATIONS.items() if found.script == script]


def resolved_flags(name):
    """The flags that a configuration sets, as text, with the place of the run's results."""
    found = CONFIGURATIONS[name]
    suffix = ".keras" if found.script == "experiments/cifar.py" else ""
    return {**found.flags, "output": f"runs/{name}{suffix}"}


def apply(name):
    """Sets the parsed flags to a configuration's, except those given on the command line."""
    if name is None:
        return
    for flag_name, text in resolved_flags(name).items():
        flag = flags.FLAGS[flag_name]
        if flag.present and flag_name == "set":  # the last assignment counts
            flags.FLAGS[flag_name].value = [text, *flag.value]
        elif not flag.present:
            flag.parse(text)


def main(_):
    for name, found in CONFIGURATIONS.items():
        script = found.script.replace("examples", "experiments")
        print(f"{found.title}\n  python {script} --configuration={name}")
        print(f"  expected: {found.expected}\n  cost: {found.cost}\n")


if __name__ == "__main__":
    app.run(main)
