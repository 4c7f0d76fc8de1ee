"""Pretrained networks by name."""

import keras
import numpy as np
import pytest

import keras_isd
from keras_isd.training import make_teacher
from keras_isd.training.teachers import takes_pixels


def test_a_preset_of_keras_hub_has_its_own_preprocessing(tmp_path):
    keras_hub = pytest.importorskip("keras_hub", reason="keras-hub provides the teacher")
    shape = {"num_layers": 2, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32}
    network = keras_hub.models.DINOV2Backbone(
        patch_size=4, **shape, image_shape=(16, 16, 3), position_embedding_shape=(16, 16, 3)
    )
    network.save_to_preset(tmp_path)
    keras_hub.layers.DINOV2ImageConverter(
        image_size=(16, 16), scale=[0.01, 0.02, 0.03], offset=[-1.0, -2.0, 0.5]
    ).save_to_preset(tmp_path)
    images = np.random.RandomState(0).randint(0, 256, (3, 16, 16, 3)).astype("float32")
    teacher = make_teacher(str(tmp_path), 16)
    scaled = images * np.float32([0.01, 0.02, 0.03]) + np.float32([-1.0, -2.0, 0.5])
    tokens = network.predict({"images": scaled}, verbose=0)
    assert tokens.shape == (3, 17, 16)
    np.testing.assert_allclose(teacher.predict(images, verbose=0), tokens[:, 0], atol=1e-4)
    # For another size the position embeddings are interpolated.
    larger = make_teacher(str(tmp_path), 24)
    assert larger.predict(np.zeros((1, 24, 24, 3)), verbose=0).shape == (1, 16)


def test_an_unknown_teacher_is_named_in_the_error():
    pytest.importorskip("keras_hub", reason="keras-hub provides other teachers")
    with pytest.raises(ValueError, match=r"`name` must .*Received: .*no_such_network"):
        make_teacher("no_such_network", 32)


def test_a_model_file_can_be_a_teacher(tmp_path, caplog):
    network = keras_isd.backbones.ConvNet((16, 16, 3), filters=(4,))
    network.save(tmp_path / "teacher.keras")
    with caplog.at_level("WARNING", logger="absl"):
        teacher = make_teacher(str(tmp_path / "teacher.keras"), 16)
    assert isinstance(teacher, keras.Model)
    assert teacher.output_shape == (None, 4)
    assert "teacher.keras gets images in [0, 255], and no first layer" in caplog.text
    caplog.clear()
    pixels = keras.Input((16, 16, 3))
    scaled = keras.Model(pixels, network(keras.layers.Rescaling(1 / 255)(pixels)))
    scaled.save(tmp_path / "teacher.keras")
    make_teacher(str(tmp_path / "teacher.keras"), 16)
    assert not caplog.records


def test_networks_that_rescale_pixels_are_recognised():
    applications = keras.applications
    for make, expected in {
        applications.EfficientNetV2B0: True,
        applications.MobileNetV3Small: True,
        applications.MobileNetV2: False,
    }.items():
        network = make(weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3))
        assert takes_pixels(network) == expected
        pixels = keras.Input((32, 32, 3))
        assert takes_pixels(keras.Model(pixels, network(pixels))) == expected
    pixels = keras.Input((16, 16, 3))
    backbone = keras_isd.backbones.ConvNet((16, 16, 3), filters=(4,))
    assert not takes_pixels(backbone)
    assert takes_pixels(keras.Model(pixels, backbone((pixels - 120) / 60)))
