"""Intervals and tests of shares, against published numbers and SciPy."""

import numpy as np
import pytest
from scipy import stats

from keras_isd import evaluation

pytestmark = pytest.mark.one_backend("plain arithmetic")


@pytest.mark.parametrize(("successes", "trials"), [(0, 20), (1, 29), (81, 263), (15, 148), (7, 7)])
def test_intervals_are_those_of_scipy(successes, trials):
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    found = evaluation.wilson_interval(successes, trials)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_intervals_are_those_of_newcombe_1998():
    found = [round(x, 4) for x in evaluation.wilson_interval(81, 263)]
    assert found == [0.2553, 0.3662]


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 5), (1, 9), (12, 3), (300, 240)])
def test_p_values_are_those_of_the_binomial_test(wins, losses):
    first = np.r_[np.ones(wins), np.zeros(losses), np.ones(50)].astype(bool)
    second = np.r_[np.zeros(wins), np.ones(losses), np.ones(50)].astype(bool)
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert evaluation.mcnemar_test(first, second) == pytest.approx(expected)
    assert evaluation.mcnemar_test(second, first) == pytest.approx(expected)


def test_invalid_counts_are_named():
    with pytest.raises(ValueError, match="successes=5, trials=4"):
        evaluation.wilson_interval(5, 4)
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        evaluation.mcnemar_test([True, False], [True, False, True])


def test_simple_features_separate_what_they_are_for():
    random = np.random.RandomState(0)
    y, x = np.mgrid[:32, :32]
    kinds = np.arange(60) % 3
    waves = {0: x / 1.5, 1: y / 1.5, 2: x / 4}
    images = np.stack([np.sin(waves[kind] + 6 * random.rand()) for kind in kinds])
    images += 0.1 * random.randn(*images.shape)
    views = np.repeat(images[..., None], 3, axis=-1)
    views[kinds == 2, :, :, 0] += 0.5
    found = evaluation.simple_features(views)

    def accuracy(name, chosen):
        rows = np.flatnonzero(np.isin(kinds, chosen))
        half = len(rows) // 2
        bank, rest = rows[:half], rows[half:]
        sets = found[name][bank], kinds[bank], found[name][rest], kinds[rest]
        return evaluation.knn_accuracy(*sets, k=1)["top1"]

    assert accuracy("gradients", [0, 1]) == 1.0  # directions
    assert accuracy("spectrum", [0, 2]) == 1.0  # frequencies
    assert accuracy("spectrum", [0, 1]) < 0.8  # of any direction
    assert accuracy("colors", [1, 2]) == 1.0


def test_only_the_kinds_that_are_asked_for_are_computed():
    views = np.random.RandomState(0).rand(4, 16, 16, 1)
    found = evaluation.simple_features(views, ["gradients"])
    whole = evaluation.simple_features(views)
    assert list(found) == ["gradients"]
    np.testing.assert_array_equal(found["gradients"], whole["gradients"])
