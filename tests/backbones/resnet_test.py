import numpy as np
import pytest
from keras import ops

from keras_isd import backbones


@pytest.mark.parametrize(
    ("build", "features", "parameters"),
    [
        # torchvision's counts, less the 1000-way classifier
        (backbones.ResNet18, 512, 11_689_512 - 513_000),
        (backbones.ResNet34, 512, 21_797_672 - 513_000),
        (backbones.ResNet50, 2048, 25_557_032 - 2_049_000),
    ],
)
def test_sizes_are_those_of_the_literature(build, features, parameters):
    model = build((64, 64, 3))
    assert model.output_shape == (None, features)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == parameters


def test_small_stem_keeps_the_resolution():
    small = backbones.ResNet18((32, 32, 3), stem="small")
    assert small.get_layer("layer1_0_conv1").output.shape[1:3] == (32, 32)
    assert small.get_layer("layer4_1_conv2").output.shape[1:3] == (4, 4)
    large = backbones.ResNet18((224, 224, 3))
    assert large.get_layer("layer1_0_conv1").output.shape[1:3] == (56, 56)


def test_images_of_any_size_where_the_shape_is_open():
    model = backbones.ResNet18((None, None, 3), stem="small", width=4)
    for size in (32, 47):
        assert model.predict(np.zeros((1, size, size, 3)), verbose=0).shape == (1, 32)


def test_convolutions_start_as_the_authors():
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
def test_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        backbones.ResNet18(**arguments)
