import numpy as np
from keras import ops

from keras_isd import heads


def test_shape_and_number_of_parameters():
    # Linear 512-1024, two per channel of batch normalisation (and two statistics), Linear 1024-128
    model = heads.mlp(512, 1024, 128)
    assert model.output_shape == (None, 128)
    assert model.count_params() == 512 * 1024 + 1024 + 4 * 1024 + 1024 * 128 + 128


def test_first_bias_can_be_left_out():
    model = heads.mlp(4, 4, 4, hidden_bias=False, name="predictor")
    assert model.get_layer("predictor_0").bias is None
    assert model.get_layer("predictor_3").bias is not None


def test_weights_start_as_those_of_a_pytorch_linear_layer():
    kernel, bias = (ops.convert_to_numpy(w) for w in heads.mlp(400, 300, 2).layers[0].weights)
    for values in (kernel, bias):
        assert np.abs(values).max() <= 1 / 20
        assert abs(values.mean()) < 0.01
    np.testing.assert_allclose(kernel.std(), 1 / 20 / 3**0.5, rtol=0.02)
