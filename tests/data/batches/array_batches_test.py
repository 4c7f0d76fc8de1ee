import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_isd import augmentation, data

one_backend = pytest.mark.one_backend("NumPy is the same under any backend")


def epochs(batches, count):
    """Lists the rows of each batch of some epochs, in the order of `fit`."""
    for _ in range(count):
        batches.on_epoch_end()  # Keras calls this before a run
        batches.on_epoch_begin()
        yield [batches[i][0].tolist() for i in range(len(batches))]
        batches.on_epoch_end()


@one_backend
@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 30),
    batch_size=st.integers(1, 30),
    seed=st.integers(0, 100),
    drop=st.booleans(),
)
def test_an_epoch_has_every_row_once_except_a_dropped_remainder(rows, batch_size, seed, drop):
    if drop and batch_size > rows:
        return
    batches = data.ArrayBatches(
        np.arange(rows), batch_size=batch_size, seed=seed, drop_remainder=drop
    )
    for epoch in epochs(batches, 2):
        seen = [row for batch in epoch for row in batch]
        assert len(set(seen)) == len(seen) == (rows // batch_size * batch_size if drop else rows)
        assert {len(batch) for batch in epoch[:-1]} <= {batch_size}


@one_backend
def test_a_resumed_run_has_the_order_of_its_epochs():
    whole = list(epochs(data.ArrayBatches(np.arange(9), batch_size=4, seed=3), 4))
    rest = data.ArrayBatches(np.arange(9), batch_size=4, seed=3, initial_epoch=2)
    assert list(epochs(rest, 2)) == whole[2:]
    assert whole[0] != whole[1]
    other = data.ArrayBatches(np.arange(9), batch_size=4, seed=4)
    assert next(epochs(other, 1)) != whole[0]


@one_backend
def test_all_arrays_have_the_same_order():
    images, labels = np.arange(10) * 2, np.arange(10)
    batches = data.ArrayBatches(images, labels, batch_size=3, seed=0)
    for x, y in (batches[i] for i in range(len(batches))):
        np.testing.assert_array_equal(x, 2 * y)


@one_backend
def test_unshuffled_rows_keep_their_order():
    batches = data.ArrayBatches(np.arange(5), batch_size=2, shuffle=False)
    assert list(epochs(batches, 2)) == [[[0, 1], [2, 3], [4]]] * 2


@one_backend
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, r"`batch_size` must be a positive integer. Received: batch_size=0"),
        ({"batch_size": 6, "drop_remainder": True}, r"`batch_size`.*batch_size=6, 5 rows"),
    ],
)
def test_impossible_batch_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.ArrayBatches(np.arange(5), **arguments)


@one_backend
def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"length\. Received: arrays of \[4, 5\] rows"):
        data.ArrayBatches(np.arange(5), np.arange(4), batch_size=2)


def test_view_batches_equal_those_of_tf_data():
    images = np.random.RandomState(0).randint(0, 256, (7, 10, 12, 3)).astype("uint8")
    view, labels = augmentation.evaluation(8), np.arange(7)
    found = data.ViewBatches(images, labels, view, batch_size=3)
    pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    expected = data.one_view_dataset(data.from_arrays(images, labels), view, batch_size=3)
    assert len(found) == 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=1e-4)
        np.testing.assert_array_equal(one[1], other[1])
    assert [len(batch) for batch in data.ViewBatches(images, None, view, batch_size=4)] == [1, 1]


def test_dicts_of_arrays_give_dicts():
    images, features = np.arange(5), 10 * np.arange(5)
    batches = data.ArrayBatches({"images": images, "key": features}, -images, batch_size=2, seed=0)
    seen = []
    for views, labels in batches:
        np.testing.assert_array_equal(views["key"], 10 * views["images"])
        np.testing.assert_array_equal(labels, -views["images"])
        seen += views["images"].tolist()
    assert sorted(seen) == list(range(5))
    with pytest.raises(ValueError, match=r"arrays of \[4, 5\] rows"):
        data.ArrayBatches({"images": images, "key": features[:4]}, batch_size=2)
