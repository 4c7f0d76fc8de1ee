"""Label-free health metrics of features."""

import numpy as np

from keras_isd.similarity.exact import nearest_rows
from keras_isd.similarity.neighbors import find_all_neighbors
from keras_isd.validation.arguments import check_positive_integer
from keras_isd.validation.features import check_features


def effective_rank(features):
    """Measures the effective number of directions that features use: in [1, F].

    It is the exponential of the entropy of their normalised singular values. The features of a
    collapsed network use one direction.

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
    """Computes the share of images whose own second view is the nearest second view: in [0, 1].

    Chance level is 1 / N. It shows whether a network recognises an image in spite of the
    augmentation. Compare it over epochs for the same views.

    Args:
        first, second: `(N, F)` arrays, features of two views of the same N images.

    Returns:
        Float.

    Raises:
        ValueError: if features are not finite, or `first` and `second` differ in shape.

    Example:

    >>> keras_isd.evaluation.view_retrieval(np.eye(3), np.eye(3)[[0, 2, 1]])
    0.3333333333333333
    """
    return float(views_found(first, second).mean())


def views_found(first, second):
    """Whether each image's own second view is the nearest second view: see `view_retrieval`."""
    _check_same_images(first=first, second=second)
    rows, _ = nearest_rows(second, first, 1)
    return rows[:, 0] == np.arange(len(rows))


def neighbor_stability(before, after, k=10):
    """Computes the share of the `k` nearest neighbours that images keep: in [0, 1].

    It compares two epochs on the same images, and rises as a network converges. Chance level is
    `k / (N - 1)`.

    Args:
        before, after: `(N, F)` and `(N, G)` arrays, features of the same N images.
        k: int in [1, N). Defaults to 10.

    Returns:
        Float.

    Raises:
        ValueError: if features are not finite, `before` and `after` differ in length, or `k` is not
            in [1, N).

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
            f"Argument `k` must be less than the number of images, {len(before)}. Received: {k=}"
        )
    return neighbor_overlap(*(find_all_neighbors(features, k)[0] for features in (before, after)))


def neighbor_overlap(before, after):
    """Computes the share of neighbours `(N, k)` that each row has both before and after."""
    return float((before[:, :, None] == after[:, None, :]).any(axis=2).mean())


def _check_same_images(**named):
    check_features(**named)
    _check_same_count(**named)


def _check_same_count(**named):
    counts = {name: len(features) for name, features in named.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"Arguments {' and '.join(f'`{name}`' for name in named)} must be features of the same "
            f"images. Received: {counts}"
        )
