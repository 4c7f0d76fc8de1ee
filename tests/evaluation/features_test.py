import keras
import numpy as np
import pytest
from keras import ops

import keras_isd
from keras_isd.evaluation import extract_features
from tests.support import golden


def batches(images, size, labels=None):
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        yield images[part] if labels is None else (images[part], labels[part])


@pytest.fixture
def images():
    return np.random.RandomState(0).rand(11, 8, 8, 3).astype("float32")


def test_features_equal_those_of_predict_in_the_same_order(images):
    model = golden.golden_model("isd_plus")
    before = [ops.convert_to_numpy(v) for v in model.variables]
    labels = np.arange(11) % 3
    found = extract_features(model, batches(images, 4, labels), verbose=0)
    np.testing.assert_allclose(found.features, model.predict(images, verbose=0), atol=1e-6)
    assert found.labels.tolist() == labels.tolist()
    assert found.indices.tolist() == list(range(11))
    teacher = extract_features(model.teacher_backbone, batches(images, 4), verbose=0)
    assert teacher.labels is None
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


def test_indices_of_the_data_set_are_kept(images):
    triples = [(images[:2], [5, 6], [40, 30]), (images[2:3], [7], [20])]
    found = extract_features(golden.golden_model("isd_plus"), triples, verbose=0)
    assert found.indices.tolist() == [40, 30, 20]
    assert found.labels.tolist() == [5, 6, 7]


def test_float16_features_are_close_to_float32_ones(images):
    model = golden.golden_model("isd_plus").student_backbone
    full = extract_features(model, batches(images, 4), verbose=0).features
    half = extract_features(model, batches(images, 4), dtype="float16", verbose=0).features
    assert half.dtype == "float16"
    np.testing.assert_allclose(half, full, rtol=2e-3, atol=1e-4)


def test_a_smaller_last_batch_is_padded(images):
    calls = []

    class Recorder(keras.Model):
        def predict_on_batch(self, x):
            calls.append(len(x))
            return np.asarray(ops.convert_to_numpy(x)).reshape(len(x), -1)

    found = extract_features(Recorder(), batches(images, 4), verbose=0)
    assert calls == [4, 4, 4]
    np.testing.assert_array_equal(found.features, images.reshape(11, -1))


def test_invalid_data_are_refused(images):
    model = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4,))
    with pytest.raises(ValueError, match=r"`dataset`.*Received: 0 batches"):
        extract_features(model, [], verbose=0)
    with pytest.raises(ValueError, match=r"`dataset` must.*Received: labels in 1 of 2 batches"):
        extract_features(model, [(images, np.zeros(11, int)), images], verbose=0)
    images[7, 2, 3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in batch 1"):
        extract_features(model, batches(images, 4), verbose=0)
    maps = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match=r"\(B, F\).*shape \(4, 6, 6, 2\)"):
        extract_features(maps, batches(images[:4], 4), verbose=0)


@pytest.mark.parametrize(
    ("dataset", "received"),
    [
        (np.zeros((4, 8, 8, 3)), r"ndarray of shape \(4, 8, 8, 3\)"),
        (keras_isd.data.from_arrays(np.zeros((4, 8, 8, 3), "uint8")), "ImageSource"),
        ([{"query": np.zeros((2, 8, 8, 3)), "key": np.zeros((2, 8, 8, 3))}], r"\['key', 'query'\]"),
        (["a.png"], "list with batches of str"),
        (7, "int"),
    ],
    ids=["array", "source", "two views", "paths", "number"],
)
def test_other_data_than_batches_of_views_is_refused_with_a_short_error(dataset, received):
    model = keras_isd.backbones.ConvNet((8, 8, 3), (4,))
    message = rf"`dataset` must .*Received: .*{received}"
    with pytest.raises(ValueError, match=message) as raised:
        extract_features(model, dataset, verbose=0)
    assert len(str(raised.value)) < 400
