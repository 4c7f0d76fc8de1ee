import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_isd.similarity.exact import nearest_rows


def brute_force(bank, queries, k):
    """Sorts all rows of the bank by similarity, equal ones by their place in the bank."""

    def unit(x):
        length = np.linalg.norm(x, axis=1, keepdims=True)
        return x.astype("float32") / np.maximum(length, 1e-12).astype("float32")

    similarity = unit(queries) @ unit(bank).T
    return np.argsort(-similarity, axis=1, kind="stable")[:, :k], similarity


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 300), st.integers(1, 20), st.integers(1, 300), st.sampled_from([64, 4096, 2**28])
)
def test_the_result_equals_that_of_sorting_all_rows(count, queries, k, max_bytes):
    random = np.random.RandomState(count + k)
    # Signs alone give few different similarities, and so many ties. A row of four signs has the
    # length 2, so that dividing by it does not round.
    bank = random.choice([-1.0, 1.0], (count, 4))
    queries = random.choice([-1.0, 1.0], (queries, 4))
    k = min(k, count)
    rows, similarities = nearest_rows(bank, queries, k, max_bytes)
    expected, similarity = brute_force(bank, queries, k)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(similarities, np.take_along_axis(similarity, rows, axis=1))


def test_opposite_rows_come_last_and_rows_of_zeros_in_between():
    bank = np.array([[-1.0, 0], [0, 0], [0, 2], [3, 0]])
    rows, similarities = nearest_rows(bank, np.array([[1.0, 0], [0, 0]]), k=4)
    assert rows.tolist() == [[3, 1, 2, 0], [0, 1, 2, 3]]  # 0 and -0 are one similarity
    np.testing.assert_allclose(similarities, [[1, 0, 0, -1], [0, 0, 0, 0]])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_features_may_have_any_float_type(dtype):
    random = np.random.RandomState(0)
    bank, queries = random.randn(3000, 16).astype(dtype), random.randn(200, 16).astype(dtype)
    rows, _ = nearest_rows(bank, queries, k=20, max_bytes=200_000)
    expected, _ = brute_force(bank.astype("float32"), queries.astype("float32"), 20)
    assert (rows == expected).mean() > 0.999  # float32 rounding may swap a few
