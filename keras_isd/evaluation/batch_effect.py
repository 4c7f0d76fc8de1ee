"""Batch effects: features that depend on how an image was taken, measured and removed."""

import numpy as np

from keras_isd.similarity.exact import unit_rows
from keras_isd.similarity.neighbors import find_neighbors
from keras_isd.validation.arguments import check_in_range, check_positive_integer
from keras_isd.validation.features import check_features


def group_effect(features, groups, k=10):
    """Measures how well the neighbours of an image reveal its group, such as its plate.

    If images of every kind are in every group, and neighbours are still of the same group, features
    depend on how an image was taken rather than on its content.

    Args:
        features: `(N, F)` array.
        groups: `(N,)` array, the group of each image.
        k: int, number of neighbours, limited by the number of images. Defaults to 10.

    Returns:
        Dict of `"same"`, the share of the `k` nearest neighbours that are of an image's own group,
        `"chance"`, the same share among all other images, and `"excess"`: 0 if `"same"` is chance,
        and 1 if all neighbours are of the same group.

    Raises:
        ValueError: if features are not finite, or groups differ in number or are all the same.

    Example:

    >>> random = np.random.RandomState(0)
    >>> plates = np.repeat([0, 1], 50)
    >>> features = random.randn(100, 4) + 20 * plates[:, None]
    >>> keras_isd.evaluation.group_effect(features - features.mean(axis=0), plates)["same"]
    1.0
    """
    check_features(features=features)
    check_positive_integer("k", k)
    numbers = _number(groups, features)
    rows, _ = find_neighbors(features, k=min(k, len(features) - 1))
    same = float((numbers[rows] == numbers[:, None]).mean())
    counts = np.bincount(numbers)
    chance = float(((counts - 1)[numbers] / (len(numbers) - 1)).mean())
    return {"same": same, "chance": chance, "excess": max(0.0, (same - chance) / (1 - chance))}


def spherize(features, groups=None, controls=None, regularization=0.01):
    """Removes what differs between groups: centres each, and whitens all.

    The mean of each group's controls is taken off its images; then the directions in which controls
    vary are shrunk to one variance. If there are no controls, all images of a group are, which is
    right if each group has about the same mixture of kinds.

    Args:
        features: `(N, F)` array.
        groups: `(N,)` array, the group of each image, or None for a single group. Defaults to None.
        controls: `(N,)` bools, the images that should be alike in all groups, such as untreated
            cells, or None for all. Defaults to None.
        regularization: float > 0, added to the variance of each direction as a share of the mean
            variance, so that directions without information do not grow. Defaults to 0.01.

    Returns:
        `(N, F)` float32 array.

    Raises:
        ValueError: if features are not finite, arguments differ in length, or a group has no
            control.

    Source: Ando, McLean and Berndl, "Improving phenotypic measurements in high-content imaging
    screens", 2017 (typical variation normalisation).

    Example:

    >>> random = np.random.RandomState(0)
    >>> plates = np.repeat([0, 1], 50)
    >>> features = random.randn(100, 4) + 20 * plates[:, None]
    >>> found = keras_isd.evaluation.spherize(features, plates)
    >>> bool(np.abs(found[:50].mean(axis=0)).max() < 1e-5)
    True
    """
    check_features(features=features)
    check_in_range("regularization", regularization, np.nextafter(0, 1))
    numbers = np.zeros(len(features), int) if groups is None else _number(groups, features, 1)
    controls = np.ones(len(features), bool) if controls is None else np.asarray(controls, bool)
    if len(controls) != len(features) or not np.isin(numbers, numbers[controls]).all():
        raise ValueError(
            "Argument `controls` must have a bool for each image, and a control in each group. "
            f"Received: {len(controls)} values for {len(features)} images"
        )
    centred = np.asarray(unit_rows(features), "float64")
    for group in np.unique(numbers):
        own = numbers == group
        centred[own] -= centred[own & controls].mean(axis=0)
    values, directions = np.linalg.eigh(
        np.cov(centred[controls].T, bias=True).reshape(centred.shape[1], -1)
    )
    scale = 1 / np.sqrt(np.maximum(values, 0) + regularization * max(values.mean(), 1e-12))
    return (centred @ directions * scale @ directions.T).astype("float32")


def _number(groups, features, least=2):
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    if len(numbers) != len(features) or len(names) < least:
        raise ValueError(
            f"Argument `groups` must have a group for each image, and at least {least} different "
            f"ones. Received: {len(numbers)} for {len(features)} images, {len(names)} different"
        )
    return numbers
