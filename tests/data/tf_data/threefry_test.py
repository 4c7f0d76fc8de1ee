import numpy as np
import pytest
from scipy import stats

tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
from keras_isd.data.tf_data.threefry import threefry, uniform  # noqa: E402

pytestmark = pytest.mark.one_backend("tf.data is the same under any backend")


# The first three "known answers" of the authors' Random123 for threefry2x32 with 20 rounds.
@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_known_answers(key, counter, expected):
    words = threefry(*([tf.constant(w, tf.uint32) for w in pair] for pair in (key, counter)))
    assert tuple(int(word) for word in words) == expected


def numbers(seed=1, epoch=2, rows=range(2000), view=0, count=7):
    return uniform(seed, epoch, tf.constant(list(rows), tf.int64), view, count).numpy()


def test_numbers_are_uniform_and_independent():
    found = numbers()
    assert found.shape == (2000, 7)
    assert found.min() >= 0
    assert found.max() < 1
    assert stats.kstest(found.ravel(), "uniform").pvalue > 1e-3
    others = [numbers(seed=2), numbers(epoch=3), numbers(view=1), numbers(rows=range(1, 2001))]
    columns = np.concatenate([found, *others], axis=1).T
    correlations = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)


def test_the_numbers_of_a_row_do_not_depend_on_its_batch():
    np.testing.assert_array_equal(numbers(rows=[5, 2**33 - 7, 0])[0], numbers(rows=[5])[0])
