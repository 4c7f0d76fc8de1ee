"""The settings of a run, chosen for the images and the machine, each with a reason."""

import dataclasses
import functools

import numpy as np

from keras_isd import backend
from keras_isd.validation.arguments import (
    check_in_range,
    check_natural,
    check_positive,
    check_positive_integer,
)

SAMPLED_IMAGES = 32  # that are read to see how large images are
NETWORKS = ("convnet", "resnet18", "resnet50")
# Each method with its recipes for small images and for photographs.
RECIPES = {
    "isd": ("cifar_resnet18", "resnet50"),
    "moco": ("moco_cifar_resnet18", "moco_resnet50"),
    "byol": ("byol_cifar_resnet18", "byol_resnet50"),
    "msf": ("msf_cifar_resnet18", "msf_resnet50"),
    "distillation": ("distillation_cifar_resnet18", "distillation_resnet18"),
}
DOMAINS = ("photo", "microscopy", "pathology", "satellite", "industry")
NORMALIZATIONS = ("none", "image", "background")
BANDS = 6  # channels from which on images are taken for multispectral
LARGE_SIDE = 2000  # pixels from which on tiles are suggested
SMALL = 64  # pixels up to which images are small: a small stem, and no blur


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """The settings of a run.

    Attributes:
        method: `"isd"`, `"moco"`, `"byol"`, `"msf"` or `"distillation"`.
        size: int, side of the views in pixels.
        stored_size: int, shorter side of smaller copies that the run makes once and reads instead
            of the images, or 0 for no copies.
        network: `"convnet"`, `"resnet18"` or `"resnet50"`.
        batch_size, queue_size, epochs: ints.
        learning_rate: float, initial learning rate; it falls to 0 along a cosine.
        query_views: int, student views of each image. Defaults to 1.
        small_views: int, further student views of half the side, see `keras_isd.MomentumModel`.
            Defaults to 0.
        domain: `"photo"` for the recipe's views, or `"microscopy"`, `"pathology"`, `"satellite"` or
            `"industry"` for those of that name in `keras_isd.augmentation`. Defaults to `"photo"`.
        normalize: `"none"`, or how each image is normalised by itself: `"image"` or `"background"`,
            see `keras_isd.data.channel_statistics`. Defaults to `"none"`.
        reasons: dict from names of settings to the reason for each value, as text.

    Example:

    >>> settings = keras_isd.training.TrainingSettings(
    ...     "isd", 32, 0, "convnet", batch_size=64, queue_size=4096, epochs=9, learning_rate=0.05)
    >>> settings.recipe
    'cifar_resnet18'
    """

    method: str
    size: int
    stored_size: int
    network: str
    batch_size: int
    queue_size: int
    epochs: int
    learning_rate: float
    reasons: dict = dataclasses.field(default_factory=dict, compare=False)
    query_views: int = 1
    domain: str = "photo"
    normalize: str = "none"
    small_views: int = 0

    @property
    def recipe(self):
        """Name of the recipe that gives heads, temperatures, momentum and views."""
        return RECIPES[self.method][self.size > SMALL]

    def values(self):
        """Dict of the settings without the reasons."""
        found = dataclasses.asdict(self)
        del found["reasons"]
        # Left out if they are the default, so that runs from before these settings are resumed.
        for field in dataclasses.fields(self):
            if field.name in found and found[field.name] == field.default:
                del found[field.name]
        return found


def choose_settings(source, accelerator=None, **given):
    """Chooses the settings of a run from the number and size of images, and from the device.

    Settings for a CPU are those that RESULTS.md measured, with small networks; settings for a GPU
    follow the papers.

    Args:
        source: `keras_isd.data.ImageSource`.
        accelerator: bool, whether to choose for a GPU or TPU. Defaults to whether this machine has
            one.
        **given: settings of `TrainingSettings` to use as they are; those that are None are chosen.

    Returns:
        `TrainingSettings`.

    Raises:
        ValueError: if a given setting is unknown or outside its range, or there are fewer than
            eight images.

    Example:

    >>> images = np.zeros((5000, 32, 32, 3), "uint8")
    >>> chosen = keras_isd.training.choose_settings(
    ...     keras_isd.data.from_arrays(images), accelerator=False, epochs=10)
    >>> chosen.network, chosen.queue_size, chosen.epochs, chosen.reasons["epochs"]
    ('convnet', 2500, 10, 'as asked')
    """
    if len(source) < 8:
        raise ValueError(
            "Argument `source` must have at least eight images, and some hundreds for useful "
            f"features. Received: {len(source)} images"
        )
    given = {name: value for name, value in given.items() if value is not None}
    _check(given)
    if given.get("domain") == "pathology" and source.channels != 3:
        raise ValueError(
            'Argument `domain` must not be "pathology" for other than three channels, red, green '
            f"and blue. Received: {source.channels} channels"
        )
    accelerator = backend.has_accelerator() if accelerator is None else accelerator
    values, reasons = dict(given), dict.fromkeys(given, "as asked")
    side = functools.cache(lambda: _median_side(source))  # the sample is decoded once, if at all
    for choose in (
        _method,
        _domain,
        _normalize,
        _size,
        _stored_size,
        _network,
        _batch_size,
        _queue_size,
        _epochs,
        _learning_rate,
    ):
        name = choose.__name__[1:]
        if name not in values:
            values[name], reasons[name] = choose(source, side, accelerator, values)
    return TrainingSettings(**values, reasons=reasons)


def _method(source, side, accelerator, values):
    return "isd", "the default; with a pretrained teacher, distillation is faster and better"


def _domain(source, side, accelerator, values):
    if source.dtype == "uint16" and source.channels == 1 and not _is_dicom(source):
        return "microscopy", "one channel of 16 bits: micrographs, if not asked otherwise"
    if source.channels >= BANDS:
        return "satellite", f"{source.channels} channels: bands of a satellite"
    return "photo", "for other images give --domain, so that views fit them"


def _is_dicom(source):
    return source.names is not None and source.names[0].lower().endswith(".dcm")


def _normalize(source, side, accelerator, values):
    if values["domain"] == "microscopy":
        return "background", "takes off what differs between plates and days, not between cells"
    return "none", "brightness and colour may matter"


def _median_side(source):
    """The median of the shorter sides of some images."""
    rows = np.unique(np.linspace(0, len(source) - 1, SAMPLED_IMAGES).astype(int))
    return int(np.median([min(source[int(row)].shape[:2]) for row in rows]))


def _size(source, side, accelerator, values):
    pixels = f"images have about {side():,} pixels"
    if side() >= LARGE_SIDE:
        pixels += ", and each is one row; --tile=256 would cut them into tiles"
    if side() <= 48:
        return 32, pixels
    if side() <= 96:
        return 64, pixels
    if values["domain"] == "industry" and side() > 128 and not accelerator:
        return 128, f"{pixels}; small defects would vanish at 64"
    if accelerator:
        return 224, f"{pixels}; the recipes are for 224"
    return 64, f"{pixels}; without a GPU more would take long"


def _stored_size(source, side, accelerator, values):
    if source.in_memory or source.has_shifts or side() < 3 * values["size"]:
        return 0, "images are read as they are"
    return 2 * values["size"], "smaller copies, which are read several times as quickly"


def _network(source, side, accelerator, values):
    if not accelerator:
        return "convnet", "without a GPU a small network learns more in a few hours"
    if len(source) >= 200_000 and values["size"] > SMALL:
        return "resnet50", "a GPU and enough images"
    return "resnet18", "a GPU"


def _batch_size(source, side, accelerator, values):
    wanted = 256 if accelerator else 64
    if wanted <= len(source) // 4:
        return wanted, "the recipe's" if accelerator else "measured with small networks"
    return len(source) // 4, "a quarter of the images"


def _queue_size(source, side, accelerator, values):
    most = 131_072 if values["size"] > SMALL and accelerator else 8192 if accelerator else 4096
    if most <= len(source) // 2:
        return most, "enough anchors of every kind"
    return len(source) // 2, "half of the images, so that few images meet their own previous key"


def _epochs(source, side, accelerator, values):
    images = 20_000_000
    if not accelerator:  # an image of 64 pixels takes four times as long
        images = 2_000_000 if values["size"] < 64 else 1_000_000
    least, most = (100, 1000) if accelerator else (20, 500)
    epochs = round(images / len(source))
    if epochs < least:
        return least, "the minimum for useful features"
    if epochs > most:
        return most, "the maximum: more passes over few images add little"
    return epochs, f"{images // 1_000_000} million views of images in all"


def _learning_rate(source, side, accelerator, values):
    from keras_isd.recipes import get_recipe

    small, large = RECIPES[values["method"]]
    recipe = get_recipe(large if values["size"] > SMALL else small)
    rate = recipe.sgd["learning_rate"]
    if accelerator:
        return rate * values[
            "batch_size"
        ] / recipe.batch_size, "the recipe's, scaled by the batch size"
    return rate, "measured with small networks"


def _check(given):
    known = {field.name for field in dataclasses.fields(TrainingSettings)} - {"reasons"}
    if unknown := sorted(set(given) - known):
        raise ValueError(f"Settings must be among {sorted(known)}. Received: {unknown}")
    choices_by_name = {
        "method": tuple(RECIPES),
        "network": NETWORKS,
        "domain": DOMAINS,
        "normalize": NORMALIZATIONS,
    }
    for name, choices in choices_by_name.items():
        if given.get(name, choices[0]) not in choices:
            raise ValueError(
                f"Argument `{name}` must be one of {choices}. Received: {name}={given[name]!r}"
            )
    check_in_range("stored_size", given.get("stored_size", 0), 0)
    check_natural("small_views", given.get("small_views", 0))
    for name in ("size", "batch_size", "queue_size", "epochs", "query_views"):
        check_positive_integer(name, given.get(name, 1))
    check_positive("learning_rate", given.get("learning_rate", 1.0))
