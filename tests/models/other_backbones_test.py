"""Backbones from elsewhere: keras.applications, keras-cv, and a subclassed model."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_isd

pytestmark = pytest.mark.slow


def application():
    return keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )


def keras_cv_backbone():
    keras_cv = pytest.importorskip("keras_cv", reason="keras-cv is not installed")
    # Not one of keras-cv's named backbones, because those look up presets on the internet.
    darknet = keras_cv.models.CSPDarkNetBackbone(
        stackwise_channels=[8, 16, 16, 32],
        stackwise_depth=[1, 1, 1, 1],
        include_rescaling=True,
        input_shape=(64, 64, 3),
    )
    images = keras.Input((64, 64, 3))
    return keras.Model(images, layers.GlobalAveragePooling2D()(darknet(images)))


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(8, 3)
        self.norm = layers.BatchNormalization()
        self.dropout = layers.Dropout(0.2)
        self.pool = layers.GlobalAveragePooling2D()

    def build(self, input_shape):
        x = keras.Input(batch_shape=input_shape)
        self.pool(self.dropout(self.norm(self.conv(x))))
        self.built = True

    def call(self, images, training=False):
        x = self.norm(self.conv(images), training=training)
        return self.pool(self.dropout(x, training=training))


def subclassed():
    model = Subclassed()
    model.build((None, 32, 32, 3))
    return model


@pytest.mark.parametrize("build", [application, keras_cv_backbone, subclassed])
def test_trains_evaluates_predicts_and_survives_saving(build, tmp_path):
    backbone = build()
    size = 64 if build is keras_cv_backbone else 32
    random = np.random.RandomState(0)
    views = {n: random.rand(8, size, size, 3).astype("float32") for n in ("query", "key")}
    model = keras_isd.ISDModel(backbone, queue_size=32)
    model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9))

    def statistics(part):
        weights = [w for w in part.weights if "moving_mean" in w.path]
        return np.concatenate([ops.convert_to_numpy(w).ravel() for w in weights])

    parts = (model.student_backbone, model.teacher_backbone)
    before = [statistics(part) for part in parts]
    history = model.fit(views, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    # Batch normalisation runs on the batches in both, each on its own view.
    after = [statistics(part) for part in parts]
    for old, new in zip(before, after, strict=True):
        assert np.abs(old - new).max() > 1e-3
    assert np.abs(after[0] - after[1]).max() > 0

    features = model.predict(views["query"], verbose=0)
    assert features.shape == (8, model.embedding_dim)
    # Dropout and batch statistics are off, so an image alone has the same features.
    alone = model.predict(views["query"][:1], verbose=0)
    np.testing.assert_allclose(alone, features[:1], rtol=1e-3, atol=1e-4)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(views["query"], verbose=0), features, rtol=1e-5, atol=1e-6
    )
