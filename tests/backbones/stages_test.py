"""Feature maps of a backbone's stages: their places, values and weights."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_isd
from keras_isd.backbones import ConvNet, ResNet18, ResNet50, feature_maps


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        (ConvNet((32, 32, 3), (8, 16, 32)), [(32, 8), (16, 16), (8, 32)]),
        (ResNet18((32, 32, 3), "small", 8), [(32, 8), (16, 16), (8, 32), (4, 64)]),
        (ResNet50((64, 64, 3), width=8), [(32, 8), (16, 32), (8, 64), (4, 128), (2, 256)]),
    ],
    ids=["ConvNet", "ResNet18", "ResNet50"],
)
def test_each_resolution_has_a_map_and_the_mean_of_the_last_is_the_feature(backbone, expected):
    maps = feature_maps(backbone)
    assert [(x.shape[1], x.shape[3]) for x in maps.outputs] == expected
    images = np.random.RandomState(0).randn(2, *backbone.input_shape[1:]).astype("float32")
    found = maps(images)
    mean = ops.convert_to_numpy(ops.mean(found[-1], axis=(1, 2)))
    features = backbone.predict(images, verbose=0)
    # One compiled, one not: sums in other orders differ relative to the largest value, not to each.
    np.testing.assert_allclose(mean, features, rtol=0, atol=1e-4 * np.abs(features).max())
    assert all(any(w is v for v in backbone.weights) for w in maps.weights)


def test_the_last_layer_of_a_stage_is_its_map():
    backbone = ResNet18((32, 32, 3), "small", 8)
    outputs = feature_maps(backbone).outputs
    names = [f"layer{stage}_1_relu" for stage in (1, 2, 3, 4)]
    assert [x is backbone.get_layer(name).output for x, name in zip(outputs, names)] == [True] * 4


def test_a_trained_model_gives_the_maps_of_its_student():
    model = keras_isd.ISDModel(ConvNet((16, 16, 3), (4, 8)), queue_size=8)
    assert feature_maps(model).inputs[0] is model.student_backbone.inputs[0]


def test_models_without_maps_are_named():
    with pytest.raises(ValueError, match=r"known size.*\(None, None, None, 3\)"):
        feature_maps(ConvNet((None, None, 3)))
    inputs = keras.Input((4,))
    with pytest.raises(ValueError, match="layers with maps"):
        feature_maps(keras.Model(inputs, keras.layers.Dense(2)(inputs)))
    with pytest.raises(ValueError, match=r"functional.*Received: Dense"):
        feature_maps(keras.layers.Dense(3))
