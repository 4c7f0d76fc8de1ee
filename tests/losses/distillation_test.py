import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_isd.losses import similarity_distillation


def unit_rows(rows, dim, seed):
    x = np.random.RandomState(seed).standard_normal((rows, dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("float32")


def reference(query, key, anchors, teacher_temperature, student_temperature):
    """KL, its gradient and the teacher's entropy in float64, from their definitions."""

    def softmax(logits):
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    query, key, anchors = (x.astype("float64") for x in (query, key, anchors))
    p_t = softmax(key @ anchors.T / teacher_temperature)
    p_s = softmax(query @ anchors.T / student_temperature)
    tiny = np.finfo("float64").tiny
    kl = (p_t * (np.log(p_t + tiny) - np.log(p_s + tiny))).sum(axis=1)
    entropy = -(p_t * np.log(p_t + tiny)).sum(axis=1)
    return kl, (p_s - p_t) @ anchors / student_temperature, entropy


def gradient_of_sum(query, *args):
    """Gradient of the sum of the losses, by the backend's automatic differentiation."""

    def total(q):
        return ops.sum(similarity_distillation(q, *args).loss)

    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(total)(query)
    if keras.backend.backend() == "torch":
        import torch

        q = torch.tensor(query, requires_grad=True)
        total(q).backward()
        return q.grad.numpy()
    import tensorflow as tf

    q = tf.Variable(query)
    with tf.GradientTape() as tape:
        loss = total(q)
    return tape.gradient(loss, q).numpy()


def test_two_anchors_by_hand():
    # The key is anchor 0, the query the bisector: p_t = softmax(1/T, 0), p_s = (1/2, 1/2).
    anchors = np.eye(2, dtype="float32")
    key = anchors[:1]
    query = np.full((1, 2), 0.5**0.5, "float32")
    result = similarity_distillation(query, key, anchors, 0.5, 0.1)
    p = np.exp(2) / (np.exp(2) + 1)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    np.testing.assert_allclose(result.teacher_entropy, [entropy], rtol=1e-5)
    np.testing.assert_allclose(result.loss, [np.log(2) - entropy], rtol=1e-5)


def test_equal_distributions_have_zero_loss():
    key, anchors = unit_rows(5, 8, 0), unit_rows(40, 8, 1)
    loss = similarity_distillation(key, key, anchors, 0.07, 0.07).loss
    np.testing.assert_allclose(loss, np.zeros(5), atol=1e-6)


def test_nearest_anchors_are_the_teachers_most_similar_first():
    key, anchors = unit_rows(6, 8, 0), unit_rows(50, 8, 1)
    query = unit_rows(6, 8, 2)
    nearest = similarity_distillation(query, key, anchors, 0.01, 0.1, num_nearest=5).nearest
    np.testing.assert_array_equal(nearest, np.argsort(-key @ anchors.T, axis=1)[:, :5])


@settings(max_examples=12, deadline=None)
@given(
    batch=st.integers(1, 9),
    anchors=st.integers(1, 70),
    dim=st.integers(2, 17),
    temperatures=st.tuples(st.sampled_from([0.01, 0.04, 0.2]), st.sampled_from([0.02, 0.1, 1.0])),
    seed=st.integers(0, 10_000),
)
def test_loss_and_gradient_agree_with_the_definition(batch, anchors, dim, temperatures, seed):
    query, key, bank = (unit_rows(n, dim, seed + i) for i, n in enumerate((batch, batch, anchors)))
    kl, gradient, entropy = reference(query, key, bank, *temperatures)
    result = similarity_distillation(query, key, bank, *temperatures)
    np.testing.assert_allclose(result.loss, kl, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(result.teacher_entropy, entropy, rtol=1e-3, atol=1e-4)
    found = gradient_of_sum(query, key, bank, *temperatures)
    np.testing.assert_allclose(found, gradient, rtol=1e-3, atol=2e-3)


def test_the_gradient_equals_automatic_differentiation_of_the_plain_formula():
    torch = pytest.importorskip("torch", reason="PyTorch differentiates the plain formula here")
    query, key, anchors = unit_rows(7, 16, 0), unit_rows(7, 16, 1), unit_rows(90, 16, 2)
    q = torch.tensor(query, dtype=torch.float64, requires_grad=True)
    k, bank = (torch.tensor(x, dtype=torch.float64) for x in (key, anchors))
    # `KLD` of the authors' train_isd_plus.py
    loss = torch.nn.functional.kl_div(
        torch.log_softmax(q @ bank.T / 0.1, dim=1),
        torch.softmax(k @ bank.T / 0.04, dim=1),
        reduction="sum",
    )
    loss.backward()
    mine = similarity_distillation(query, key, anchors, 0.04, 0.1).loss
    np.testing.assert_allclose(float(ops.sum(mine)), loss.item(), rtol=1e-5)
    np.testing.assert_allclose(
        gradient_of_sum(query, key, anchors, 0.04, 0.1), q.grad.numpy(), atol=1e-5
    )


def test_half_precision_embeddings_are_compared_in_float32():
    query, key, anchors = unit_rows(3, 8, 0), unit_rows(3, 8, 1), unit_rows(20, 8, 2)
    half = ops.cast(query, "bfloat16")
    loss = similarity_distillation(half, ops.cast(key, "bfloat16"), anchors, 0.01, 0.1).loss
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    rounded = [
        ops.convert_to_numpy(ops.cast(ops.cast(x, "bfloat16"), "float32")) for x in (query, key)
    ]
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss), reference(*rounded, anchors, 0.01, 0.1)[0], rtol=1e-3
    )
