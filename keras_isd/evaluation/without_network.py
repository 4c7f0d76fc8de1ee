"""Features that need no network: what a trained one must be better than."""

import numpy as np

GRADIENT_CELLS, GRADIENT_BINS = 4, 8
COLOR_BINS = 8
RINGS = 32


KINDS = ("spectrum", "gradients", "colors")


def simple_features(views, kinds=KINDS):
    """Computes three kinds of features that need no network.

    A network that was trained on too few images, for too short a time, or on the wrong views, may
    be no better than these: then use these, or change the training.

    Args:
        views: `(N, H, W, C)` array of normalised views. Two of the kinds depend on all of them, so
            compute the features of training and test images together.
        kinds: list of str, the kinds to compute. Defaults to all three.

    Returns:
        Dict of `(N, F)` float32 arrays: `"spectrum"`, the power at each spatial frequency, for
        textures and cells; `"gradients"`, histograms of the edges' directions in sixteen parts of
        the image, for shapes; and `"colors"`, a histogram of each channel.

    Source: Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005, for
    the second.

    Example:

    >>> found = keras_isd.evaluation.simple_features(np.random.rand(4, 32, 32, 3))
    >>> {name: features.shape[1] for name, features in found.items()}
    {'spectrum': 17, 'gradients': 128, 'colors': 24}
    """
    views = np.asarray(views, "float32")
    grey = views.mean(axis=-1)
    compute = {
        "spectrum": lambda: _standardize(_spectrum(grey)),
        "gradients": lambda: _gradients(grey),
        "colors": lambda: _standardize(_colors(views)),
    }
    return {kind: compute[kind]() for kind in kinds}


def _spectrum(grey):
    """Logarithm of the mean power in each ring of frequencies."""
    grey = grey - grey.mean(axis=(1, 2), keepdims=True)
    deviation = grey.std(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(grey / np.maximum(deviation, 1e-6))) ** 2
    frequencies = [np.minimum(np.arange(side), side - np.arange(side)) for side in grey.shape[1:]]
    ring = np.hypot(frequencies[0][:, None], frequencies[1][None]).astype(int).ravel()
    rings = min(RINGS, min(grey.shape[1:]) // 2 + 1)
    counts = np.bincount(ring, minlength=rings)[:rings]
    sums = [np.bincount(ring, image.ravel(), rings)[:rings] for image in power]
    return np.log(np.stack(sums) / counts + 1e-6).astype("float32")


def _gradients(grey):
    """Histograms of directions in a grid of cells, each weighted by the strength of the edges."""
    down, across = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(down, across)
    place = (np.arctan2(down, across) + np.pi) / (2 * np.pi) * GRADIENT_BINS
    bins = np.minimum(place.astype(int), GRADIENT_BINS - 1)
    cells = [np.arange(side) * GRADIENT_CELLS // side for side in grey.shape[1:]]
    cell = cells[0][:, None] * GRADIENT_CELLS + cells[1][None]
    index = (cell[None] * GRADIENT_BINS + bins).reshape(len(grey), -1)
    width = GRADIENT_CELLS**2 * GRADIENT_BINS
    found = np.stack([np.bincount(i, s.ravel(), width) for i, s in zip(index, strength)])
    return np.sqrt(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-6)).astype("float32")


def _colors(views):
    """A histogram of each channel, with limits that hold equally many pixels of all views."""
    parts = []
    for channel in np.moveaxis(views, -1, 0):
        limits = np.quantile(channel[:, ::2, ::2], np.arange(1, COLOR_BINS) / COLOR_BINS)
        bins = np.searchsorted(limits, channel.reshape(len(views), -1))
        parts.append(np.stack([np.bincount(row, minlength=COLOR_BINS) for row in bins]))
    return np.sqrt(np.concatenate(parts, axis=1)).astype("float32")


def _standardize(features):
    deviation = features.std(axis=0)
    return (features - features.mean(axis=0)) / np.where(deviation > 1e-6, deviation, 1)
