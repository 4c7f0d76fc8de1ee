"""A copy in plain Keras has the same features and loads without this package."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_isd
from keras_isd.backbones import to_plain_keras
from tests.support.processes import run_python

pytestmark = pytest.mark.slow

LOAD = """
import sys, keras, numpy as np

model = keras.models.load_model(sys.argv[1])
assert not any(name.startswith("keras_isd") for name in sys.modules)
np.save(sys.argv[2], np.asarray(model.predict(np.load(sys.argv[3]), verbose=0)))
"""


def randomize(backbone):
    for variable in backbone.variables:
        noise = np.random.RandomState(len(variable.path)).uniform(0.5, 1.5, variable.shape)
        variable.assign(ops.convert_to_numpy(variable) + noise * ("kernel" not in variable.path))
    return backbone


@pytest.mark.parametrize(
    "backbone",
    [
        keras_isd.backbones.ConvNet((16, 16, 3), filters=(4, 8)),
        keras_isd.backbones.ResNet18((16, 16, 3), "small", width=4),
        keras_isd.backbones.ResNet50((32, 32, 3), width=4),
    ],
)
def test_features_are_the_same_without_the_package(backbone, tmp_path):
    images = np.random.RandomState(0).standard_normal((3, *backbone.input_shape[1:]))
    np.save(tmp_path / "images.npy", images.astype("float32"))
    expected = randomize(backbone).predict(images.astype("float32"), verbose=0)
    to_plain_keras(backbone).save(tmp_path / "plain.keras")
    names = [str(tmp_path / name) for name in ("plain.keras", "features.npy", "images.npy")]
    run_python("-c", LOAD, *names, fresh=True)
    np.testing.assert_allclose(np.load(names[1]), expected, atol=1e-5 * np.abs(expected).max())


def test_the_original_is_unchanged_and_nested_models_are_converted():
    inner = keras.Sequential(
        [keras.Input((4,)), keras_isd.BatchNormalization(name="bn", synchronized=True)]
    )
    outer = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(2)])
    plain = to_plain_keras(outer)
    assert type(plain.layers[0].layers[0]) is keras.layers.BatchNormalization
    assert type(outer.layers[0].layers[0]) is keras_isd.BatchNormalization
    x = np.random.RandomState(0).rand(3, 4)
    np.testing.assert_allclose(
        plain.predict(x, verbose=0), outer.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )
