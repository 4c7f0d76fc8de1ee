"""Whether features are in good health, where there are no labels."""

import numpy as np

from keras_isd.similarity.exact import nearest_rows
from keras_isd.similarity.neighbors import find_all_neighbors
from keras_isd.validation.arguments import check_positive_integer
from keras_isd.validation.features import check_features


def effective_rank(features):
    """How many directions rows spread over: in [1, F].

    The exponential of the entropy of their singular values. Features of a network that has
    collapsed lie in one direction.

    Args:
        features: `(N, F)` array.

    Returns:
        Float.

    Source: Roy and Vetterli, "The effective rank", EUSIPCO 2007; as a measure of learned features:
    Garrido et al., "RankMe", ICML 2023.

    Example:

    >>> round(keras_isd.evaluation.effective_rank(np.eye(4)), 3)
    4.0
    """
    values = np.linalg.svd(features, compute_uv=False)
    shares = values / max(values.sum(), 1e-12)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def view_retrieval(first, second):
    """Share of images whose other view is the nearest of all other views: in [0, 1].

    By chance it is one in N. It tells whether a network sees what makes an image that image,
    through what the views change; compare it over epochs, of the same views.

    Args:
        first, second: `(N, F)` arrays, features of two views of the same N images.

    Returns:
        Float.

    Raises:
        ValueError: if features are not finite, or not of the same images.

    Example:

    >>> keras_isd.evaluation.view_retrieval(np.eye(3), np.eye(3)[[0, 2, 1]])
    0.3333333333333333
    """
    _check_same_images(first=first, second=second)
    rows, _ = nearest_rows(second, first, 1)
    return float((rows[:, 0] == np.arange(len(rows))).mean())


def neighbor_stability(before, after, k=10):
    """Share of the `k` nearest neighbours that images keep: in [0, 1].

    Of the same images in two epochs. It rises as a network settles; by chance it is `k / (N - 1)`.

    Args:
        before, after: `(N, F)` and `(N, G)` arrays, features of the same N images.
        k: int below N.

    Returns:
        Float.

    Raises:
        ValueError: if features are not finite, or not of the same images, or `k` is not below N.

    Example:

    >>> features = np.random.RandomState(0).randn(20, 8)
    >>> keras_isd.evaluation.neighbor_stability(features, 2 * features, k=3)
    1.0
    """
    check_features(before=before)
    check_features(after=after)
    _check_same_count(before=before, after=after)
    check_positive_integer("k", k)
    if k >= len(before):
        raise ValueError(
            f"Argument `k` must be below the number of images, {len(before)}. Received: {k=}"
        )
    return kept_neighbors(*(find_all_neighbors(features, k)[0] for features in (before, after)))


def kept_neighbors(before, after):
    """Share of the neighbours `(N, k)` of each row that are among its neighbours afterwards."""
    return float((before[:, :, None] == after[:, None, :]).any(axis=2).mean())


def _check_same_images(**named):
    check_features(**named)
    _check_same_count(**named)


def _check_same_count(**named):
    counts = {name: len(features) for name, features in named.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"Features must be of the same images. Received: {counts}")
