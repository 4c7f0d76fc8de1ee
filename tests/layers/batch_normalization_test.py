import keras
import numpy as np
import pytest
from keras import ops

from keras_isd import BatchNormalization

torch = pytest.importorskip("torch", reason="PyTorch's batch normalisation is the reference")


def pair(channels, rank=2):
    """Our layer and PyTorch's, with the same random weights."""
    random = np.random.RandomState(0)
    mine = BatchNormalization()
    mine.build((None,) * (rank - 1) + (channels,))
    theirs = torch.nn.BatchNorm1d(channels, device="cpu")
    for variable, tensor in (
        (mine.gamma, theirs.weight),
        (mine.beta, theirs.bias),
        (mine.moving_mean, theirs.running_mean),
        (mine.moving_variance, theirs.running_var),
    ):
        value = random.uniform(0.5, 1.5, channels).astype("float32")
        variable.assign(value)
        tensor.data.copy_(torch.tensor(value))
    return mine, theirs


@pytest.mark.parametrize("shape", [(8, 5), (2, 3, 4, 5)])
def test_training_equals_pytorch(shape):
    mine, theirs = pair(5, len(shape))
    for step in range(3):
        x = np.random.RandomState(step).standard_normal(shape).astype("float32") * 3 + 1
        found = ops.convert_to_numpy(ops.stop_gradient(mine(x, training=True)))
        rows = torch.tensor(x.reshape(-1, 5), device="cpu")
        expected = theirs(rows).detach().numpy().reshape(shape)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # The moving variance is unbiased: with 8 rows the biased one is 12 % off.
    np.testing.assert_allclose(
        ops.convert_to_numpy(mine.moving_variance), theirs.running_var, rtol=1e-5
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(mine.moving_mean), theirs.running_mean, rtol=1e-5
    )


def test_evaluation_equals_pytorch_and_changes_nothing():
    mine, theirs = pair(5)
    before = [ops.convert_to_numpy(w).copy() for w in mine.weights]
    x = np.random.RandomState(1).standard_normal((7, 5)).astype("float32")
    theirs.eval()
    expected = theirs(torch.tensor(x, device="cpu")).detach().numpy()
    np.testing.assert_allclose(
        ops.convert_to_numpy(mine(x, training=False)), expected, rtol=1e-5, atol=1e-6
    )
    for weight, value in zip(mine.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), value)


def test_frozen_layer_runs_on_its_moving_statistics():
    mine, _ = pair(5)
    x = np.random.RandomState(1).standard_normal((7, 5)).astype("float32")
    expected = ops.convert_to_numpy(mine(x, training=False))
    mine.trainable = False
    np.testing.assert_array_equal(ops.convert_to_numpy(mine(x, training=True)), expected)


def test_single_value_gives_finite_statistics():
    mine, _ = pair(5)
    output = mine(np.ones((1, 5), "float32"), training=True)
    assert np.isfinite(ops.convert_to_numpy(ops.stop_gradient(output))).all()
    assert np.isfinite(ops.convert_to_numpy(mine.moving_variance)).all()


def test_half_precision_in_half_precision_out():
    layer = BatchNormalization(dtype="mixed_bfloat16")
    x = np.random.RandomState(0).standard_normal((64, 3)).astype("float32")
    y = layer(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    assert layer.moving_mean.dtype == "float32"
    y = ops.convert_to_numpy(ops.cast(ops.stop_gradient(y), "float32"))
    np.testing.assert_allclose(y, (x - x.mean(0)) / x.std(0), atol=0.05)


def test_survives_serialisation():
    layer = BatchNormalization(momentum=0.8, name="norm")
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (type(twin), twin.momentum, twin.epsilon) == (BatchNormalization, 0.8, 1e-5)


def test_unsupported_arguments_are_rejected():
    with pytest.raises(ValueError, match="Received: axis=1"):
        BatchNormalization(axis=1)


def test_each_group_is_normalised_by_its_own_statistics():
    x = np.random.RandomState(0).standard_normal((6, 2, 2, 3)).astype("float32") + 5
    whole, parts = BatchNormalization(), BatchNormalization()
    whole.groups = 2
    found = ops.convert_to_numpy(whole(x, training=True))
    expected = [ops.convert_to_numpy(parts(part, training=True)) for part in (x[:3], x[3:])]
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-4)
    # 0.9 of the initial value and 0.1 of the groups' mean
    groups = x.reshape(2, 12, 3)
    np.testing.assert_allclose(
        ops.convert_to_numpy(whole.moving_mean), 0.1 * groups.mean((0, 1)), rtol=1e-4
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(whole.moving_variance),
        0.9 + 0.1 * groups.var(1, ddof=1).mean(0),
        rtol=1e-4,
    )


def test_a_synchronized_layer_survives_serialisation_on_every_backend():
    layer = BatchNormalization.from_config(BatchNormalization(synchronized=True).get_config())
    assert layer.synchronized is True
    x = np.random.RandomState(0).standard_normal((6, 3)).astype("float32")
    found = ops.convert_to_numpy(ops.stop_gradient(layer(x, training=True)))  # own statistics
    np.testing.assert_allclose(found.std(axis=0), 1, rtol=1e-3)
