import keras
import numpy as np
import pytest

import keras_isd


def test_each_convolution_but_the_first_halves_the_image():
    network = keras_isd.backbones.ConvNet((9, 8, 3), filters=(4, 6, 10))
    assert network.get_layer("relu0").output.shape == (None, 9, 8, 4)
    assert network.get_layer("relu1").output.shape == (None, 5, 4, 6)
    assert network.get_layer("relu2").output.shape == (None, 3, 2, 10)
    assert network.output_shape == (None, 10)


def test_features_are_the_mean_of_the_last_feature_map_over_pixels():
    network = keras_isd.backbones.ConvNet((4, 4, 1), filters=(1,))
    kernel = np.zeros((3, 3, 1, 1), "float32")
    kernel[1, 2] = 2.0  # twice the pixel to the right, 0 beyond the border
    network.get_layer("conv0").set_weights([kernel])
    images = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    # The pixels in columns 1 to 3 count, sum 120 - (0 + 4 + 8 + 12), averaged over 16 pixels;
    # untrained statistics have the mean 0 and the variance 1, epsilon is 1e-5.
    expected = 2 * 96 / 16 / np.sqrt(1 + 1e-5)
    features = keras.ops.convert_to_numpy(network(images))
    np.testing.assert_allclose(features, [[expected]], rtol=1e-6)


@pytest.mark.parametrize("filters", [(), (4, 0), (4, 2.5)])
def test_filters_that_are_not_positive_integers_are_rejected(filters):
    with pytest.raises(ValueError, match=r"`filters` must .*Received: filters=\("):
        keras_isd.backbones.ConvNet((8, 8, 3), filters=filters)
