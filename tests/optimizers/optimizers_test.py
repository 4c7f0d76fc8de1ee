import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_isd import optimizers


def run(optimizer, gradients, start):
    weight = keras.Variable(np.array(start, "float32"))
    path = []
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(np.array(gradient, "float32"))], [weight])
        path.append(ops.convert_to_numpy(weight).copy())
    return np.array(path)


def test_two_steps_by_hand():
    # v1 = 1 + 0.5 * 2 = 2, w1 = 2 - 0.1 * 2 = 1.8; v2 = 0.9 * 2 + (1 + 0.9) = 3.7, w2 = 1.43
    path = run(optimizers.SGD(0.1, momentum=0.9, weight_decay=0.5), [[1.0], [1.0]], [2.0])
    np.testing.assert_allclose(path, [[1.8], [1.43]], rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    nesterov=st.booleans(),
    weight_decay=st.sampled_from([None, 1e-4, 0.1]),
    seed=st.integers(0, 1000),
)
def test_equals_pytorch_while_the_learning_rate_changes(momentum, nesterov, weight_decay, seed):
    torch = pytest.importorskip("torch", reason="PyTorch's SGD is the reference")
    nesterov = nesterov and momentum > 0
    random = np.random.RandomState(seed)
    start, gradients = random.standard_normal(4), random.standard_normal((6, 4))

    weight = torch.tensor(start, dtype=torch.float32, device="cpu", requires_grad=True)
    reference = torch.optim.SGD(
        [weight], 0.5, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay or 0
    )
    expected = []
    for step, gradient in enumerate(gradients):
        reference.param_groups[0]["lr"] = 0.5 / (step + 1)
        weight.grad = torch.tensor(gradient, dtype=torch.float32, device="cpu")
        reference.step()
        expected.append(weight.detach().numpy().copy())

    class Harmonic(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.5 / (ops.cast(step, "float32") + 1)

    mine = optimizers.SGD(
        Harmonic(), momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
    )
    np.testing.assert_allclose(run(mine, gradients, start), expected, rtol=1e-4, atol=1e-6)


def test_weight_decay_is_added_after_clipping():
    # The gradient of 10 is clipped to 1, then 0.5 * 2 is added.
    path = run(optimizers.SGD(0.1, weight_decay=0.5, clipvalue=1.0), [[10.0]], [2.0])
    np.testing.assert_allclose(path, [[2 - 0.1 * (1 + 1)]], rtol=1e-6)


def test_weight_decay_is_applied_once_per_accumulated_update():
    optimizer = optimizers.SGD(0.1, weight_decay=0.5, gradient_accumulation_steps=2)
    path = run(optimizer, [[1.0], [3.0]], [2.0])
    np.testing.assert_allclose(path, [[2.0], [2 - 0.1 * (2 + 1)]], rtol=1e-6)


def test_variables_excluded_from_weight_decay_do_not_decay():
    optimizer = optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    variables = [keras.Variable([2.0], name="kernel"), keras.Variable([2.0], name="bias")]
    optimizer.build(variables)
    optimizer.apply([ops.ones(1), ops.ones(1)], variables)
    values = [float(v[0]) for v in variables]
    np.testing.assert_allclose(values, [2 - 0.1 * 2, 2 - 0.1 * 1], rtol=1e-6)


def authors_learning_rate(epoch, learning_rate, epochs, drops=None):
    """`adjust_learning_rate` of the authors' util.py, which counts epochs from 1."""
    if drops is None:
        return learning_rate * 0.5 * (1.0 + math.cos(math.pi * (epoch - 1) / epochs))
    return learning_rate * 0.2 ** np.sum(epoch > np.asarray(drops))


@pytest.mark.parametrize("epoch", [0, 1, 99, 139, 140, 141, 179, 180, 199])
@pytest.mark.parametrize("step", [0, 6])
def test_schedules_of_the_recipes_agree_with_the_authors(epoch, step):
    cosine = optimizers.from_recipe("resnet50", steps_per_epoch=7)
    steps = optimizers.from_recipe("resnet18", steps_per_epoch=7)
    for optimizer in (cosine, steps):
        optimizer.iterations.assign(7 * epoch + step)
    expected = authors_learning_rate(epoch + 1, 0.05, 200)
    assert float(cosine.learning_rate) == pytest.approx(expected, rel=1e-4, abs=1e-9)
    expected = authors_learning_rate(epoch + 1, 0.01, 200, drops=(140, 180))
    assert float(steps.learning_rate) == pytest.approx(expected, rel=1e-5)


def rates(optimizer, steps):
    found = []
    for step in steps:
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return found


def test_cosine_per_step_with_warm_up():
    optimizer = optimizers.from_recipe(
        "resnet50", 10, epochs=10, learning_rate=0.1, per_step=True, warmup_epochs=1
    )
    expected = [0.1 * 0.5 * (1 + math.cos(math.pi * step / 100)) for step in (0, 4, 9, 50, 73, 100)]
    expected[:2] = [expected[0] * 0.1, expected[1] * 0.5]
    np.testing.assert_allclose(rates(optimizer, (0, 4, 9, 50, 73, 100)), expected, atol=1e-6)


def test_steps_with_warm_up_survive_serialisation():
    optimizer = optimizers.from_recipe("resnet18", 10, epochs=10, warmup_epochs=0.5)
    config = keras.saving.serialize_keras_object(optimizer)
    for one in (optimizer, keras.saving.deserialize_keras_object(config)):
        np.testing.assert_allclose(
            rates(one, (0, 4, 69, 70, 90)), [0.002, 0.01, 0.01, 0.002, 0.0004], rtol=1e-5
        )


def test_recipe_values_can_be_replaced():
    optimizer = optimizers.from_recipe(
        "resnet50", steps_per_epoch=10, epochs=4, learning_rate=0.2, weight_decay=0.0, nesterov=True
    )
    optimizer.iterations.assign(20)
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
    assert (optimizer.weight_decay, optimizer.nesterov, optimizer.momentum) == (0.0, True, 0.9)
    assert float(optimizers.from_recipe("resnet50", 10, learning_rate=0).learning_rate) == 0


def test_optimizer_and_schedule_survive_serialisation():
    optimizer = optimizers.from_recipe("resnet18", steps_per_epoch=3)
    config = keras.saving.serialize_keras_object(optimizer)
    twin = keras.saving.deserialize_keras_object(config)
    assert isinstance(twin, optimizers.SGD)
    for opt in (optimizer, twin):
        opt.iterations.assign(3 * 150)
    assert float(twin.learning_rate) == float(optimizer.learning_rate) == pytest.approx(0.002)
    assert twin.weight_decay == 1e-4


def test_an_epoch_without_steps_is_rejected():
    with pytest.raises(ValueError, match=r"`steps_per_epoch`.*Received: steps_per_epoch=0"):
        optimizers.epoch_cosine(0.1, epochs=10, steps_per_epoch=0)


def test_the_learning_rate_of_a_recipe_scales_with_the_batch():
    for batch_size, rate in ((256, 0.05), (1024, 0.2), (64, 0.0125)):
        optimizer = optimizers.from_recipe("resnet50", steps_per_epoch=10, batch_size=batch_size)
        assert float(optimizer.learning_rate) == pytest.approx(rate)
    with pytest.raises(ValueError, match=r"`batch_size`.*Received: batch_size=64, learning_rate=1"):
        optimizers.from_recipe("resnet50", 10, batch_size=64, learning_rate=1)


def test_momentum_rises_by_half_a_cosine():
    schedule = optimizers.momentum_cosine(0.9, total_steps=4)
    # 1 - 0.1 * (1 + cos(pi t / 4)) / 2
    expected = [0.9, 0.9 + 0.05 * (1 - math.cos(math.pi / 4)), 0.95, 0.9853553, 1.0, 1.0]
    assert [float(schedule(step)) for step in range(6)] == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"`teacher_momentum`.*Received: teacher_momentum=1.5"):
        optimizers.momentum_cosine(1.5, total_steps=4)


def test_without_drops_the_learning_rate_is_constant():
    schedule = optimizers.epoch_steps(0.01, (), steps_per_epoch=10)
    assert [float(schedule(step)) for step in (0, 10, 1000)] == pytest.approx([0.01] * 3)
