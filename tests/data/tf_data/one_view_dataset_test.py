import keras
import numpy as np
import pytest

import keras_isd
from keras_isd import augmentation
from keras_isd.evaluation import extract_features

tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
data = keras_isd.data

pytestmark = pytest.mark.one_backend("tf.data is the same under any backend")


def source(count=11):
    images = np.random.RandomState(0).randint(0, 256, (count, 12, 12, 3)).astype("uint8")
    return data.from_arrays(images, np.arange(count)), images


def test_evaluation_batches_have_every_image_once_in_order():
    images_source, images = source()
    view = augmentation.evaluation(8)
    batches = list(data.one_view_dataset(images_source, view, batch_size=4))
    assert [len(labels) for _, labels in batches] == [4, 4, 3]
    assert np.concatenate([labels for _, labels in batches]).tolist() == list(range(11))
    expected = keras.ops.convert_to_numpy(view(images))
    np.testing.assert_allclose(np.concatenate([x for x, _ in batches]), expected, atol=1e-4)
    assert len(data.one_view_dataset(images_source, view, batch_size=4)) == 3


def test_training_passes_differ_in_order_and_views_and_are_reproducible():
    images_source, _ = source()

    def passes(seed):
        arguments = {"shuffle_buffer": 100, "drop_remainder": True, "seed": seed}
        batches = data.one_view_dataset(images_source, augmentation.weak(8), 5, **arguments)
        return [[(x.numpy(), y.numpy().tolist()) for x, y in batches] for _ in range(2)]

    first, second = passes(seed=1)
    assert [y for _, y in first] != [y for _, y in second]
    assert len(first) == 2
    for one, other in zip(first, passes(seed=1)[0], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1] == other[1]
    assert [y for _, y in passes(seed=2)[0]] != [y for _, y in first]


def test_photographs_of_many_sizes_are_cropped_to_one_size(tmp_path):
    for index, shape in enumerate([(40, 30), (20, 50), (33, 33)]):
        pixels = np.full((*shape, 3), 80 * index, "uint8")
        folder = tmp_path / f"class{index}"
        folder.mkdir()
        keras.utils.save_img(folder / "image.png", pixels, scale=False)
    photographs = data.from_folder(tmp_path)
    zero_to_one = augmentation.evaluation(16, ((0.0,) * 3, (1.0,) * 3))
    [(views, labels)] = data.one_view_dataset(photographs, zero_to_one, batch_size=8)
    assert labels.numpy().tolist() == [0, 1, 2]
    np.testing.assert_allclose(views[:, 8, 8, 0], [0, 80 / 255, 160 / 255], atol=1e-3)
    backbone = keras_isd.backbones.ConvNet((16, 16, 3), filters=(4,))
    batches = data.one_view_dataset(photographs, zero_to_one, batch_size=2)
    assert extract_features(backbone, batches, verbose=0).features.shape == (3, 4)


def test_batches_without_labels_are_images():
    images = tf.data.Dataset.from_tensor_slices(np.zeros((3, 8, 8, 3), "uint8"))
    [views] = data.one_view_dataset(images, augmentation.evaluation(8), batch_size=3)
    assert views.shape == (3, 8, 8, 3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32", "float32"])
def test_images_of_every_type_and_size_are_cropped_alike(dtype):
    images = [np.random.RandomState(n).randint(0, 200, (20 + n, 30 - n, 3)) for n in range(2)]

    def make_views(kind):
        spec = tf.TensorSpec((None, None, 3), kind)
        source = tf.data.Dataset.from_generator(
            lambda: (i.astype(kind) for i in images), output_signature=spec
        )
        source = source.apply(tf.data.experimental.assert_cardinality(2))
        return next(iter(data.one_view_dataset(source, augmentation.evaluation(8), 2))).numpy()

    np.testing.assert_array_equal(make_views(dtype), make_views("float64").astype("float32"))
