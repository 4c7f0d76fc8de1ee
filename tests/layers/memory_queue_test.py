import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_isd import MemoryQueue


def contents(queue):
    return [
        ops.convert_to_numpy(v).copy()
        for v in (queue.embeddings, queue.labels, queue.pointer, queue.filled)
    ]


def numbered_keys(first, count):
    """Rows `[i, i + 1/2]`, each different from all others."""
    numbers = np.arange(first, first + count, dtype="float32")
    return np.stack([numbers, numbers + 0.5], axis=1)


def test_a_size_of_numpy_can_be_written_as_json():
    config = MemoryQueue(np.int64(5), np.int32(2)).get_config()
    assert json.loads(json.dumps(config))["size"] == 5


def test_new_queue_holds_random_unit_rows_of_unknown_label():
    embeddings, labels, pointer, filled = contents(MemoryQueue(100, 8))
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), np.ones(100), rtol=1e-5)
    assert embeddings.std() == pytest.approx(8**-0.5, rel=0.1)
    np.testing.assert_array_equal(labels, np.full(100, -1))
    assert (pointer, filled) == (0, 0)


def test_wraps_around_if_the_size_is_no_multiple_of_the_batch():
    queue = MemoryQueue(5, 2)
    queue.enqueue(numbered_keys(0, 3), np.array([0, 1, 2]))
    queue.enqueue(numbered_keys(3, 3), np.array([3, 4, 5]))
    embeddings, labels, pointer, filled = contents(queue)
    np.testing.assert_array_equal(labels, [5, 1, 2, 3, 4])
    np.testing.assert_array_equal(embeddings[:, 0], [5, 1, 2, 3, 4])
    assert (pointer, filled) == (1, 5)


def test_batch_larger_than_the_queue_keeps_its_last_keys():
    queue = MemoryQueue(4, 2)
    queue.enqueue(numbered_keys(0, 1))
    queue.enqueue(numbered_keys(1, 10), np.arange(1, 11))
    embeddings, labels, pointer, filled = contents(queue)
    # Keys 7 to 10 stay; key i lies in row i % 4.
    np.testing.assert_array_equal(labels, [8, 9, 10, 7])
    np.testing.assert_array_equal(embeddings[:, 0], [8, 9, 10, 7])
    assert (pointer, filled) == (3, 4)


@settings(max_examples=15, deadline=None)
@given(size=st.integers(1, 12), batches=st.lists(st.integers(1, 30), max_size=6))
def test_is_a_ring_buffer_for_any_sizes(size, batches):
    queue = MemoryQueue(size, 2)
    embeddings, labels, _, _ = contents(queue)
    total = 0
    for batch in batches:
        for number in range(total, total + batch):
            embeddings[number % size] = numbered_keys(number, 1)[0]
            labels[number % size] = number
        queue.enqueue(numbered_keys(total, batch), np.arange(total, total + batch))
        total += batch
    expected = (embeddings, labels, total % size, min(total, size))
    for found, wanted in zip(contents(queue), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_missing_labels_are_unknown():
    queue = MemoryQueue(4, 2)
    queue.enqueue(numbered_keys(0, 4), np.arange(4))
    queue.enqueue(numbered_keys(4, 2))
    np.testing.assert_array_equal(contents(queue)[1], [-1, -1, 2, 3])


def test_unhealthy_batch_changes_nothing():
    queue = MemoryQueue(4, 2)
    queue.enqueue(numbered_keys(0, 3), np.arange(3))
    before = contents(queue)
    queue.enqueue(np.full((2, 2), np.nan, "float32"), np.arange(2), healthy=ops.isfinite(np.nan))
    for found, wanted in zip(contents(queue), before, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_takes_keys_with_a_gradient():
    queue, keys = MemoryQueue(4, 2), ops.convert_to_tensor(numbered_keys(0, 2))
    if hasattr(keys, "requires_grad_"):  # PyTorch
        keys.requires_grad_()
    queue.enqueue(keys)
    assert not getattr(queue.embeddings.value, "requires_grad", False)
    np.testing.assert_array_equal(contents(queue)[0][:2, 0], [0, 1])


def test_same_seed_same_rows():
    first, second, other = (contents(MemoryQueue(6, 3, seed=s))[0] for s in (7, 7, 8))
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


def test_rows_stored_in_bfloat16_are_the_same_rounded():
    keys = np.array([[0.6, 0.8], [-(0.5**0.5), 0.5**0.5]], "float32")
    queue = MemoryQueue(5, 2, seed=3, storage_dtype="bfloat16")
    before = MemoryQueue(5, 2, seed=3).embeddings
    queue.enqueue(keys)
    rows = ops.convert_to_numpy(ops.cast(queue.embeddings, "float32"))
    expected = np.concatenate([keys, ops.convert_to_numpy(before)[2:]])
    np.testing.assert_allclose(rows, expected, rtol=2**-8)
    assert np.abs(rows - expected).max() > 1e-5
    with pytest.raises(ValueError, match=r"`storage_dtype`.*Received: storage_dtype='int8'"):
        MemoryQueue(5, 2, storage_dtype="int8")


def test_no_variable_is_trainable():
    queue = MemoryQueue(4, 2)
    assert queue.trainable_variables == []
    assert len(queue.non_trainable_variables) == 4


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((0, 4), "size"), ((-1, 4), "size"), ((2.5, 4), "size"), ((4, 0), "dim")],
)
def test_sizes_that_are_not_positive_integers_are_rejected(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`.*Received: {name}="):
        MemoryQueue(*arguments)


def test_indices_are_stored_with_their_keys():
    queue = MemoryQueue(5, 2, with_indices=True)
    queue.enqueue(numbered_keys(0, 3), indices=np.array([10, 11, 12]))
    queue.enqueue(numbered_keys(3, 3), np.array([3, 4, 5]), indices=np.array([13, 14, 15]))
    np.testing.assert_array_equal(ops.convert_to_numpy(queue.indices), [15, 11, 12, 13, 14])
    queue.enqueue(numbered_keys(6, 2))
    np.testing.assert_array_equal(ops.convert_to_numpy(queue.indices), [15, -1, -1, 13, 14])
    queue.enqueue(numbered_keys(8, 1), healthy=False, indices=np.array([18]))
    np.testing.assert_array_equal(ops.convert_to_numpy(queue.indices), [15, -1, -1, 13, 14])
    assert MemoryQueue.from_config(queue.get_config()).indices is not None
    assert MemoryQueue(5, 2).indices is None
