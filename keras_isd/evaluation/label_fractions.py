"""Evaluates features with labels for a small share of the images."""

import numpy as np

from keras_isd.data.subsets import label_fraction


def few_labels(train_labels, accuracy_of, fractions=(0.01, 0.1), seeds=(0, 1, 2)):
    """Computes the accuracy of a protocol on random shares of the labels, over several draws.

    Each draw takes the same share of each class.

    Args:
        train_labels: `(N,)` integers >= 0, the labels of all training images.
        accuracy_of: function from the rows `(n,)` of the labelled training images and the draw's
            seed to a dict with `"top1"`, such as a call of `linear_probe` or of `fine_tune`.
        fractions: floats in `(0, 1]`. Defaults to (0.01, 0.1).
        seeds: ints, one for each draw. Defaults to (0, 1, 2).

    Returns:
        Dict from each fraction to a dict of `"mean"`, `"std"` (the sample standard deviation over
        the draws, 0 for a single draw) and `"top1"`, the list of accuracies.

    Raises:
        ValueError: if `seeds` is empty, or a fraction is out of range.

    Source: section 4.2 of the paper: 1 % and 10 % of ImageNet's labels.

    Example:

    >>> random = np.random.RandomState(0)
    >>> labels = random.randint(0, 3, 300)
    >>> features = np.eye(3)[labels] + 0.1 * random.randn(300, 3)
    >>> def accuracy_of(rows, seed):
    ...     return keras_isd.evaluation.linear_probe(
    ...         features[rows], labels[rows], features, labels, epochs=20, seed=seed
    ...     )
    >>> found = keras_isd.evaluation.few_labels(labels, accuracy_of, fractions=[0.5], seeds=[0, 1])
    >>> len(found[0.5]["top1"])
    2
    """
    if len(seeds) == 0:
        raise ValueError(f"Argument `seeds` must have at least one seed. Received: {seeds=}")
    results = {}
    for fraction in fractions:
        top1 = [
            accuracy_of(label_fraction(train_labels, fraction, seed), seed)["top1"]
            for seed in seeds
        ]
        spread = float(np.std(top1, ddof=1)) if len(top1) > 1 else 0.0
        results[fraction] = {"mean": float(np.mean(top1)), "std": spread, "top1": top1}
    return results
