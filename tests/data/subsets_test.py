import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_isd import data

pytestmark = pytest.mark.one_backend("NumPy is the same under any backend")


LABELS = st.lists(st.integers(-1, 6), min_size=1, max_size=80).filter(lambda x: max(x) >= 0)


@settings(deadline=None)
@given(labels=LABELS, fraction=st.floats(0.01, 1.0), seed=st.integers(0, 9))
def test_a_fraction_is_stratified_seeded_and_nested(labels, fraction, seed):
    labels = np.array(labels)
    rows = data.label_fraction(labels, fraction, seed)
    np.testing.assert_array_equal(rows, data.label_fraction(labels, fraction, seed))
    assert (np.diff(rows) > 0).all()
    for c in np.unique(labels[labels >= 0]):
        count = (labels == c).sum()
        assert (labels[rows] == c).sum() == max(1, round(count * fraction))
    assert -1 not in labels[rows]
    larger = data.label_fraction(labels, min(1.0, 2 * fraction), seed)
    assert set(rows) <= set(larger)


@settings(deadline=None)
@given(labels=LABELS, rare=st.integers(1, 20), factor=st.floats(1.0, 200.0))
def test_unbalanced_subsets_have_the_documented_counts(labels, rare, factor):
    labels = np.array(labels)
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    large = classes[:1].tolist()
    rows = data.unbalanced(labels, large, rare)
    for c, n in zip(classes, counts, strict=True):
        assert (labels[rows] == c).sum() == (n if c in large else min(n, rare))
    rows = data.long_tail(labels, factor)
    assert set(np.unique(labels[rows])) == set(classes)
    assert (labels[rows] == classes[0]).sum() == counts[0]


def test_long_tail_counts_equal_those_computed_by_hand():
    labels = np.repeat(np.arange(10), 5000)
    kept = np.bincount(labels[data.long_tail(labels, 100)])
    # 5000 * 100 ** (-c / 9), rounded down: the usual CIFAR-10-LT.
    assert kept.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def test_another_seed_draws_other_rows():
    labels = np.repeat([0, 1], 50)
    assert set(data.unbalanced(labels, [0], 5, seed=0)) != set(data.unbalanced(labels, [0], 5, 1))


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: data.label_fraction([0, 1], 0.0), "fraction"),
        (lambda: data.label_fraction([0, 1], 1.5), "fraction"),
        (lambda: data.label_fraction([-1, -1], 0.5), "labels"),
        (lambda: data.of_classes([0, 1], [1, 2]), "classes"),
        (lambda: data.unbalanced([0, 1], [2]), "large_classes"),
        (lambda: data.unbalanced([0, 1], [1], rare_count=0), "rare_count"),
        (lambda: data.long_tail([0, 1], 0.5), "imbalance_factor"),
    ],
)
def test_arguments_out_of_range_are_refused(call, argument):
    with pytest.raises(ValueError, match=f"Argument `{argument}` must"):
        call()
