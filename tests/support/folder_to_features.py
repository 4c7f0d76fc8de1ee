"""Computes the features of a folder of images in an environment without TensorFlow."""

import importlib.util
import pathlib
import sys
import tempfile

import numpy as np
from PIL import Image

import keras_isd
from keras_isd import augmentation, data, evaluation

assert importlib.util.find_spec("tensorflow") is None, "TensorFlow is installed"
random = np.random.default_rng(0)
with tempfile.TemporaryDirectory() as folder:
    for number in range(16):
        path = pathlib.Path(folder, "ab"[number % 2], f"{number}.png")
        path.parent.mkdir(exist_ok=True)
        pixels = random.integers(0, 256, (30 + number, 40, 3)).astype("uint8")
        Image.fromarray(pixels).save(path)
    source = data.from_folder(folder)
    model = keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((16, 16, 3), filters=(4, 8)),
        queue_size=16,
        query_augmenter=augmentation.strong(16, blur=0),
        key_augmenter=augmentation.weak(16),
    )
    model.compile(keras_isd.optimizers.SGD(0.05))
    model.fit(data.ImageBatches(source, size=20, batch_size=8, seed=0), epochs=2, verbose=0)
    view = augmentation.evaluation(16)
    batches = data.ViewBatches(source, None, view, batch_size=5)
    found = evaluation.extract_features(model, batches, names=source.names, verbose=0)
    cached = evaluation.cache_features(
        model.student_backbone, source, view, f"{folder}/f.npy", verbose=0
    )
np.testing.assert_allclose(cached, found.features, rtol=1e-4, atol=1e-5)
assert "tensorflow" not in sys.modules
print(found.features.shape, len(found.names))
