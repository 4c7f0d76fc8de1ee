"""The first lines of a report: whether the features are better than those without training."""

from keras_isd.evaluation import mcnemar_test
from keras_isd.evaluation.uncertainty import format_share

SIGNIFICANT = 0.05
EASY = 0.9  # view retrieval of an untrained network from which on it shows nothing
STRONG_EFFECT = 0.5  # of `group_effect`'s excess
REMEDIES = (
    "Try more epochs or images, a larger --size, views that fit the images (--domain), or a "
    "pretrained teacher (--teacher)."
)


def verdict(metrics, hits, kind, is_held_out=True, effects=(), normalize="none"):
    """Judges a run by tests of its features against features without training.

    Args:
        metrics: dict of lists, the metrics by epoch.
        hits: dict from `"student"` and its baselines to `(N,)` bools, whether each image was
            classified correctly, or found its other view; or None for too few images.
        kind: `"labels"` for classified images, or `"views"`.
        is_held_out: bool, whether the images were held out from training. Defaults to True.
        effects: list of pairs of the name of a way to group images and a `group_effect`. Defaults
            to ().
        normalize: str, how each image was normalised. Defaults to `"none"`.

    Returns:
        List of sentences, the most important one first; empty without `hits` and a batch effect.
    """
    if metrics.get("collapsed", [0])[-1]:
        return [
            "The run has collapsed: the network maps all images to nearly the same features. "
            "A lower learning rate usually helps."
        ]
    strong = [(name, effect) for name, effect in effects if effect["excess"] >= STRONG_EFFECT]
    lines = [_batch_effect(name, effect, normalize) for name, effect in strong]
    if hits is None:
        return lines
    what = "20-NN accuracy" if kind == "labels" else "View retrieval"
    held_out = "held-out " * (is_held_out and kind == "views")
    images = f"{len(hits['student']):,} {held_out}images"
    figures = ", ".join(
        f"{name} {format_share(found.mean(), len(found))}" for name, found in hits.items()
    )
    numbers = f"{what} of {images}, with 95 % intervals: {figures}."
    return [*lines, _judge(hits, kind), numbers]


def _batch_effect(name, effect, normalize):
    train = "train with --normalize=background or --domain=microscopy, or "
    return (
        f"Batch effect: {effect['same']:.0%} of the 10 nearest images are of the same {name}, "
        f"{effect['chance']:.0%} by chance. If this is not a class but a plate, a slide, a patient "
        "or a day, the features show how an image was taken: "
        f"{train if normalize != 'background' else ''}correct them with keras-isd embed --correct."
    )


def _find_better(hits, kind):
    """Features without a network that find more views of images, as text; empty if there are none.

    They may follow traces of single images, such as noise and colours, so they are no proof that
    the network has learned nothing; but neither has it been shown to have learned.
    """
    student = hits["student"]
    names = [
        f"{name} {found.mean():.1%}"
        for name, found in hits.items()
        if name not in ("student", "untrained", "pixels")
        and found.mean() > student.mean()
        and mcnemar_test(student, found) < SIGNIFICANT
    ]
    return "" if kind == "labels" else ", ".join(names)


def _judge(hits, kind):
    student = hits["student"]
    # Other views are found by any trace of an image, so that only these two are fair baselines.
    compared = set(hits) if kind == "labels" else {"untrained", "pixels"}
    others = {name: hits[name] for name in sorted(compared - {"student"})}
    name, best = max(others.items(), key=lambda pair: pair[1].mean())
    if kind == "views" and others["untrained"].mean() >= EASY:
        return "These images are too easy for view retrieval to be informative."
    is_sure = mcnemar_test(student, best) < SIGNIFICANT
    described = {"untrained": "an untrained network", "pixels": "the pixels"}.get(name, name)
    if is_sure and student.mean() < best.mean():
        return f"The features are worse than {described}, which need no training. {REMEDIES}"
    if better := _find_better(hits, kind):
        return (
            f"Simple features find more views than the network: {better}, the network "
            f"{student.mean():.1%}. It may be worse than features without training: with a few "
            f"labels keras-isd evaluate compares them. {REMEDIES}"
        )
    if not is_sure:
        return f"This test finds no difference between the features and {described}. {REMEDIES}"
    return "The network has learned: its features are better than those without training."
