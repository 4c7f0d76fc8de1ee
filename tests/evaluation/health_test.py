import numpy as np
import pytest

from keras_isd.evaluation import effective_rank, neighbor_stability, view_retrieval

pytestmark = pytest.mark.one_backend(
    "metrics are computed from exact neighbours, which are tested under each backend"
)


def test_the_effective_rank_counts_equal_directions():
    assert effective_rank(np.eye(6)[:, :5].repeat(3, axis=0)) == pytest.approx(5)
    assert effective_rank(np.ones((9, 4))) == pytest.approx(1)
    shares = np.array([2 / 3, 1 / 3])
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert effective_rank(np.diag([2.0, 1.0])) == pytest.approx(expected)


def test_view_retrieval_counts_images_whose_own_second_view_is_the_nearest():
    second = np.array([[1, 0], [0, 1], [0.7, 0.8]])
    first = np.array([[1, 0.1], [0.6, 0.9], [0.7, 0.7]])  # row 1 is nearer to row 2 of `second`
    assert view_retrieval(first, second) == pytest.approx(2 / 3)
    assert view_retrieval(second, second) == 1


def test_neighbor_stability_counts_neighbours_that_stay():
    def on_circle(degrees):
        return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)

    before, after = on_circle([0, 10, 50, 90]), on_circle([0, 10, 50, 35])
    # Nearest before: 1, 0, 1, 2; after: 1, 0, 3, 2.
    assert neighbor_stability(before, after, k=1) == pytest.approx(3 / 4)
    assert neighbor_stability(before, 5 * before, k=2) == 1


def test_features_of_other_images_are_refused():
    for measure in (view_retrieval, lambda one, other: neighbor_stability(one, other, k=1)):
        with pytest.raises(ValueError, match=r"must be .*Received: .*3.*2"):
            measure(np.eye(3), np.eye(3)[:2])
