"""The loss in blocks of anchors equals the loss over all anchors at once."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_isd import losses
from keras_isd.losses import distillation
from keras_isd.losses.streaming import exp_of_log
from tests.losses.distillation_test import gradient_of_sum, reference, unit_rows

DIM = 8


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(1, 60),
    batch=st.integers(1, 4),
    block_size=st.integers(1, 60),
    temperatures=st.tuples(st.sampled_from([0.005, 0.04, 1.0]), st.sampled_from([0.02, 0.1, 1.0])),
    seed=st.integers(0, 99),
)
def test_any_block_size_gives_the_definition(size, batch, block_size, temperatures, seed):
    query, key = unit_rows(batch, DIM, seed), unit_rows(batch, DIM, seed + 1)
    anchors = unit_rows(size, DIM, seed + 2)
    count = min(3, size)
    found = losses.similarity_distillation(
        query, key, anchors, *temperatures, num_nearest=count, block_size=block_size
    )
    loss, _, entropy = reference(query, key, anchors, *temperatures)
    # The rounding error of logits of up to 1 / temperature.
    atol = 3e-7 / min(temperatures)
    np.testing.assert_allclose(found.loss, loss, rtol=1e-5, atol=atol)
    np.testing.assert_allclose(found.teacher_entropy, entropy, rtol=1e-5, atol=atol)
    nearest = np.argsort(-key @ anchors.T, axis=1)[:, :count]
    np.testing.assert_array_equal(found.nearest, nearest)


@pytest.mark.parametrize("block_size", [7, 32, 150, 151])
def test_the_gradient_agrees_with_the_definition(block_size):
    query, key, anchors = unit_rows(5, DIM, 0), unit_rows(5, DIM, 1), unit_rows(150, DIM, 2)
    expected = reference(query, key, anchors, 0.04, 0.1)[1]
    found = gradient_of_sum(query, key, anchors, 0.04, 0.1, 0, block_size)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_anchors_kept_in_half_precision_are_summed_in_float32(dtype):
    query, key = unit_rows(5, DIM, 0), unit_rows(5, DIM, 1)
    anchors = ops.cast(unit_rows(3000, DIM, 2), dtype)
    found = losses.similarity_distillation(query, key, anchors, 0.02, 0.1, block_size=256)
    rounded = keras.ops.convert_to_numpy(ops.cast(anchors, "float32"))
    expected = reference(query, key, rounded, 0.02, 0.1)
    np.testing.assert_allclose(found.loss, expected[0], rtol=1e-5)


def test_small_weights_are_not_denormal_and_do_not_change_a_sum():
    """Products of denormal numbers take a CPU several times as long."""
    found = ops.convert_to_numpy(exp_of_log(np.array([0, -20, -80, -100], "float32")))
    np.testing.assert_allclose(found[:2], [1, 2.061154e-9], rtol=1e-6)
    assert (found >= np.finfo("float32").tiny).all()
    assert (found[2:] * 2**40 < np.finfo("float32").eps).all()


def test_only_a_non_finite_embedding_has_a_non_finite_loss():
    query, key, anchors = unit_rows(3, DIM, 0), unit_rows(3, DIM, 1), unit_rows(40, DIM, 2)
    query[1, 0] = np.nan
    loss = losses.similarity_distillation(query, key, anchors, block_size=16).loss
    assert np.isnan(keras.ops.convert_to_numpy(loss)).tolist() == [False, True, False]


def test_a_large_queue_is_streamed_by_default(monkeypatch):
    monkeypatch.setattr(distillation, "STREAM_ABOVE", 100)
    monkeypatch.setattr(distillation, "BLOCK_SIZE", 30)
    lengths = []
    monkeypatch.setattr(
        losses.streaming,
        "_add_block",
        lambda sums, rows, block, start: lengths.append(block.shape[0]) or sums,
    )
    query = unit_rows(2, DIM, 0)
    for size, block_size in ((100, None), (110, 110), (10, 30), (110, None), (50, 20)):
        losses.similarity_distillation(query, query, unit_rows(size, DIM, 1), block_size=block_size)
        lengths.append(None)
    seen = [length for length in lengths if length]
    assert set(seen) == {30, 20, 10}  # 110 = 3 * 30 + 20 and 50 = 2 * 20 + 10
    assert lengths[:3] == [None] * 3
