"""Keras' global settings do not change the training step."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_isd
from tests.support import golden

PLUS = golden.Trajectory("isd_plus")
FLOATS = ["float16", "bfloat16", "float64"]


@pytest.fixture
def settings():
    """`keras.config`, whose settings are restored after the test."""
    before = keras.config.floatx(), keras.config.image_data_format(), keras.config.dtype_policy()
    yield keras.config
    keras.config.set_floatx(before[0])
    keras.config.set_image_data_format(before[1])
    keras.config.set_dtype_policy(before[2])


def values(variables):
    return [ops.convert_to_numpy(v).copy() for v in variables]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("floatx", FLOATS)
def test_a_run_agrees_with_the_authors_under_any_floatx(floatx, compiled, settings):
    model = golden.golden_model("isd_plus")
    settings.set_floatx(floatx)
    if not compiled:
        model.compile(golden.golden_optimizer())
    losses = [
        model.fit(*batch, batch_size=8, shuffle=False, verbose=0).history["loss"][0]
        for batch in PLUS.batches()
    ]
    np.testing.assert_allclose(losses, PLUS.losses, rtol=1e-4)
    assert keras.config.floatx() == floatx
    for metric in model.metrics:
        assert all(variable.dtype == "float32" for variable in metric.variables)


@pytest.mark.parametrize("floatx", FLOATS)
def test_a_teacher_equal_to_its_student_stays_so_under_any_floatx(floatx, settings):
    model = keras_isd.ISDModel(golden.small_backbone(), queue_size=8)
    before = values(model.teacher_backbone.weights)
    settings.set_floatx(floatx)
    for _ in range(200):
        model.update_teacher()
    for value, old in zip(values(model.teacher_backbone.weights), before, strict=True):
        np.testing.assert_allclose(value, old, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("floatx", FLOATS)
def test_views_and_losses_are_the_same_under_any_floatx(floatx, settings):
    random = np.random.RandomState(0)
    rows = random.standard_normal((30, 8)).astype("float32")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    images = random.randint(0, 256, (3, 12, 12, 3)).astype("uint8")
    view = keras_isd.augmentation.strong(8, blur=0)
    numbers = random.rand(3, view.draws).astype("float32")

    def found():
        return [
            ops.convert_to_numpy(x)
            for x in (
                keras_isd.losses.similarity_distillation(rows[:4], rows[4:8], rows[8:]).loss,
                keras_isd.losses.similarity_distillation(
                    rows[:4], rows[4:8], rows[8:], block_size=7
                ).loss,
                keras_isd.losses.contrastive(rows[:4], rows[4:8], rows[8:]),
                view(images, numbers),
            )
        ]

    wanted = found()
    settings.set_floatx(floatx)
    for one, other in zip(found(), wanted, strict=True):
        assert one.dtype == "float32"
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "float64"])
def test_parts_that_are_not_float32_are_rejected(policy, settings):
    settings.set_dtype_policy(policy)
    backbone = keras_isd.backbones.ConvNet((8, 8, 3), (4, 8))
    head = keras_isd.heads.mlp(8, 8, 8, name="predictor")
    message = rf"`backbone` must have float32 variables.*mixed_bfloat16.*Received: .*{policy}"
    with pytest.raises(ValueError, match=message):
        keras_isd.ISDModel(backbone, queue_size=8)
    settings.set_dtype_policy("float32")
    backbone = keras_isd.backbones.ConvNet((8, 8, 3), (4, 8))
    with pytest.raises(ValueError, match=r"`predictor` must .*Received: predictor with "):
        keras_isd.baselines.BYOLModel(backbone, predictor=head)


@pytest.mark.parametrize(
    "network",
    [
        lambda: keras_isd.backbones.ConvNet((16, 12, 3), (4, 8)),
        lambda: keras_isd.backbones.ResNet18((16, 12, 3), "small", width=4),
        lambda: keras_isd.backbones.ResNet50((32, 24, 3), width=4),
    ],
    ids=["ConvNet", "ResNet18", "ResNet50"],
)
def test_backbones_take_channels_last_under_any_data_format(network, settings):
    wanted = network()
    settings.set_image_data_format("channels_first")
    found = network()
    assert [v.shape for v in found.weights] == [v.shape for v in wanted.weights]
    found.set_weights(wanted.get_weights())
    images = np.random.RandomState(0).rand(2, *wanted.input_shape[1:]).astype("float32")
    np.testing.assert_array_equal(
        ops.convert_to_numpy(found(images, training=False)),
        ops.convert_to_numpy(wanted(images, training=False)),
    )
