import keras
import numpy as np
import pytest
from keras import ops

from keras_isd import backbones
from keras_isd.backbones.torch_layers import Conv2D, MaxPooling2D


@pytest.mark.parametrize(
    ("build", "features", "parameters"),
    [
        # torchvision's counts, minus the 1000-way classifier
        (backbones.ResNet18, 512, 11_689_512 - 513_000),
        (backbones.ResNet34, 512, 21_797_672 - 513_000),
        (backbones.ResNet50, 2048, 25_557_032 - 2_049_000),
    ],
)
def test_numbers_of_features_and_parameters_agree_with_torchvision(build, features, parameters):
    model = build((64, 64, 3))
    assert model.output_shape == (None, features)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == parameters


def test_small_stem_keeps_the_resolution():
    small = backbones.ResNet18((32, 32, 3), stem="small")
    assert small.get_layer("layer1_0_conv1").output.shape[1:3] == (32, 32)
    assert small.get_layer("layer4_1_conv2").output.shape[1:3] == (4, 4)
    large = backbones.ResNet18((224, 224, 3))
    assert large.get_layer("layer1_0_conv1").output.shape[1:3] == (56, 56)


def test_an_open_input_shape_takes_images_of_any_size():
    model = backbones.ResNet18((None, None, 3), stem="small", width=4)
    for size in (32, 47):
        assert model.predict(np.zeros((1, size, size, 3)), verbose=0).shape == (1, 32)


def test_convolutions_are_initialised_as_by_the_authors():
    kernel = backbones.ResNet18((32, 32, 3)).get_layer("layer3_1_conv1").kernel
    # normal(0, sqrt(2 / (3 * 3 * 256)))
    np.testing.assert_allclose(
        ops.convert_to_numpy(kernel).std(), np.sqrt(2 / (9 * 256)), rtol=0.01
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stem": "tiny"}, "`stem`.*Received: stem='tiny'"),
        ({"input_shape": (32, 32)}, r"`input_shape`.*Received: input_shape=\(32, 32\)"),
        ({"width": 0}, "`width`.*Received: width=0"),
    ],
)
def test_bad_arguments_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        backbones.ResNet18(**arguments)


@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_layers_without_copies_agree_with_keras(stem):
    model = backbones.ResNet50((24, 40, 3), stem, width=4)
    plain = backbones.to_plain_keras(model)
    images = np.random.RandomState(0).standard_normal((2, 24, 40, 3)).astype("float32")
    places = ["conv1", "layer1_0_conv2", "layer2_0_conv2", "layer3_0_downsample_0"]
    places += ["maxpool"] if stem == "imagenet" else []
    for name in places:
        ours, theirs = (
            keras.Model(network.input, network.get_layer(name).output)(images)
            for network in (model, plain)
        )
        scale = np.abs(ops.convert_to_numpy(theirs)).max()
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), atol=1e-5 * scale
        )
        assert type(plain.get_layer(name)).__module__.startswith("keras.")


def test_padding_is_never_the_maximum():
    images = -np.arange(1.0, 10, dtype="float32").reshape(1, 3, 3, 1)
    pooled = MaxPooling2D(3, 2, border=1, data_format="channels_last")(images)
    assert ops.convert_to_numpy(pooled).tolist() == [[[[-1], [-2]], [[-4], [-5]]]]
    with pytest.raises(ValueError, match=r"`border` must .*Received: border=1"):
        MaxPooling2D(3, 2, border=1, data_format="channels_first")


def test_networks_saved_with_the_convolutions_of_keras_load(tmp_path):
    """Version 0.1 saved such networks; their weights also load into a new network."""
    model = backbones.ResNet18((16, 16, 3), "small", width=4)
    old = backbones.to_plain_keras(model)
    old.save(tmp_path / "old.keras")
    old.save_weights(tmp_path / "old.weights.h5")
    images = np.random.RandomState(0).standard_normal((2, 16, 16, 3)).astype("float32")
    expected = old.predict(images, verbose=0)
    for variable in model.variables:
        variable.assign(variable + 1)
    model.load_weights(tmp_path / "old.weights.h5")
    for network in (model, keras.models.load_model(tmp_path / "old.keras")):
        np.testing.assert_allclose(network.predict(images, verbose=0), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("layer", "arguments"),
    [
        (Conv2D, {"dilation_rate": 2}),
        (Conv2D, {"dilation_rate": 2, "padding": "same"}),
        (Conv2D, {"groups": 2}),
        (Conv2D, {"strides": 2, "padding": "same"}),
        (MaxPooling2D, {"padding": "same"}),
    ],
)
def test_options_that_the_backbones_do_not_use_agree_with_keras(layer, arguments):
    images = np.random.RandomState(0).standard_normal((2, 12, 12, 4)).astype("float32")
    ours = layer(*((8, 3) if layer is Conv2D else (3, 2)), data_format="channels_last", **arguments)
    config = {name: value for name, value in ours.get_config().items() if name != "border"}
    theirs = layer.__base__.from_config(config)
    theirs.build(images.shape)
    ours.build(images.shape)
    theirs.set_weights(ours.get_weights())
    ours, theirs = (ops.convert_to_numpy(ops.stop_gradient(x(images))) for x in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
