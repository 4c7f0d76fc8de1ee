import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_isd import losses
from tests.losses.distillation_test import unit_rows


def test_loss_by_hand():
    # cos 0.6 with its own key, 0.8 and -0.6 with the two anchors, temperature 0.2
    query, key = np.float32([[1, 0]]), np.float32([[0.6, 0.8]])
    anchors = np.float32([[0.8, 0.6], [-0.6, 0.8]])
    expected = np.log(np.exp(3.0) + np.exp(4.0) + np.exp(-3.0)) - 3.0
    found = losses.contrastive(query, key, anchors, 0.2)
    np.testing.assert_allclose(ops.convert_to_numpy(found), [expected], rtol=1e-6)


def test_gradient_agrees_with_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch differentiates here")
    query, key, anchors = unit_rows(4, 5, 0), unit_rows(4, 5, 1), unit_rows(9, 5, 2)
    q, k, a = (torch.tensor(x) for x in (query, key, anchors))
    q.requires_grad_()
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ a.T], 1) / 0.2
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(4, dtype=torch.long))
    expected.backward()

    embed = layers.Embedding(4, 5, embeddings_initializer=keras.initializers.Constant(query))
    model = keras.Sequential([keras.Input(()), embed])
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=lambda rows, y: losses.contrastive(y, key, anchors, 0.2) + 0.0 * rows,
    )
    loss = model.train_on_batch(np.arange(4), np.arange(4))
    assert float(loss) == pytest.approx(expected.item(), rel=1e-5)
    moved = query - ops.convert_to_numpy(embed.embeddings)
    np.testing.assert_allclose(moved, q.grad.numpy(), atol=1e-6)


def test_loss_is_distillation_from_a_teacher_that_sees_only_its_own_key():
    query, key, anchors = unit_rows(6, 8, 0), unit_rows(6, 8, 1), unit_rows(30, 8, 2)
    expected = losses.similarity_distillation(
        query, key, anchors, 1e-4, 0.2, own_key_anchor=True
    ).loss
    found = losses.contrastive(query, key, anchors, 0.2)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), ops.convert_to_numpy(expected), rtol=1e-5
    )
