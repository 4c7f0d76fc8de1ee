"""New images that lie apart from those that a model or a table is known for."""

import numpy as np

from keras_isd.evaluation.uncertainty import wilson_interval
from keras_isd.similarity.neighbors import find_neighbors

EXPECTED = 0.05  # share of images that are far from all others, by definition
MAX_COMPARED = 5000  # images of the reference whose neighbours are found


def measure_drift(features, reference, seed=0):
    """Measures how many new images are far from all images of a reference.

    An image is far if it is less similar to its nearest image of the reference than 95 % of the
    reference's images are to their nearest other one. Without drift, such as another microscope or
    other products, five percent of the new images are far.

    Args:
        features: `(M, F)` array, of new images.
        reference: `(N, F)` array, of at least 20 images, by the same model.
        seed: int, for the images of a reference of more than 5,000 that are compared with the
            others. Defaults to 0.

    Returns:
        Dict of `"share"`, the share of new images that are far; `"interval"`, its 95 % confidence
        interval; `"threshold"`, the similarity below which an image is far; and `"has_drifted"`,
        whether the share is surely more than twice the expected 0.05.

    Raises:
        ValueError: if features are not finite or differ in width, or the reference is too small.

    Example:

    >>> random = np.random.RandomState(0)
    >>> reference = random.randn(200, 4) + [9, 0, 0, 0]
    >>> found = keras_isd.evaluation.measure_drift(random.randn(50, 4) + [0, 9, 0, 0], reference)
    >>> found["share"], found["has_drifted"]
    (1.0, True)
    """
    if len(reference) < 1 / EXPECTED:
        raise ValueError(
            f"Argument `reference` must have at least {1 / EXPECTED:.0f} images. "
            f"Received: {len(reference)}"
        )
    _, similarities = find_neighbors(reference, features, k=1)
    rows = np.random.RandomState(seed).permutation(len(reference))[:MAX_COMPARED]
    # The nearest but one: the nearest is the image itself, or a copy of it.
    _, own = find_neighbors(reference, np.asarray(reference)[np.sort(rows)], k=2)
    threshold = float(np.quantile(own[:, 1], EXPECTED))
    far = int((similarities[:, 0] < threshold).sum())
    interval = wilson_interval(far, len(features))
    return {
        "share": far / len(features),
        "interval": interval,
        "threshold": threshold,
        "has_drifted": interval[0] > 2 * EXPECTED,
    }
