"""Views made in tf.data; TensorFlow runs them under any Keras backend."""

import keras
import numpy as np
import pytest

import keras_isd

tf = pytest.importorskip("tensorflow", reason="the views are made by TensorFlow")
from keras_isd import augmentation  # noqa: E402

IMAGES = np.random.RandomState(0).randint(0, 256, (16, 40, 48, 3)).astype("uint8")


def unnormalised(views, statistics=augmentation.IMAGENET):
    mean, std = (np.array(s, "float32") for s in statistics)
    return views.numpy() * std + mean


@pytest.mark.parametrize("make", [augmentation.weak, augmentation.strong])
def test_views_are_random_and_in_range(make):
    view = make(32)
    first, second = unnormalised(view(IMAGES)), unnormalised(view(IMAGES))
    assert first.shape == (16, 32, 32, 3)
    assert first.dtype == np.float32
    assert -1e-3 < first.min() < first.max() < 1.001
    differences = np.abs(first - second).reshape(16, -1).max(axis=1)
    assert (differences > 0.01).all()  # every image drew anew
    assert np.abs(first[0] - first[1]).max() > 0.01


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_views_are_float32_under_mixed_precision(mixed_precision, policy):
    mixed_precision(policy)
    for make in (augmentation.weak, augmentation.strong, augmentation.evaluation):
        dataset = tf.data.Dataset.from_tensors(IMAGES).map(make(32))
        views = unnormalised(next(iter(dataset)))
        assert views.dtype == np.float32
        assert -1e-3 < views.min() < views.max() < 1.001
        assert views.std() > 0.1
    assert keras.config.dtype_policy().name == policy


def test_one_seed_fixes_the_views():
    def views(seed):
        keras.utils.set_random_seed(seed)
        augment = augmentation.strong(32, blur=False)
        dataset = tf.data.Dataset.from_tensor_slices(IMAGES).repeat(8).batch(16).map(augment)
        return np.stack(list(dataset))

    first = views(3)
    np.testing.assert_array_equal(views(3), first)
    assert np.abs(views(4) - first).max() > 0.1
    assert np.abs(first[1] - first[0]).max() > 0.1


def test_weak_view_keeps_colour_and_strong_view_does_not():
    red = np.zeros((64, 32, 32, 3), "uint8")
    red[..., 0] = 200
    weak = unnormalised(augmentation.weak(32)(red))
    np.testing.assert_allclose(weak[..., 0], 200 / 255, atol=1e-3)
    np.testing.assert_allclose(weak[..., 1:], 0, atol=1e-3)
    strong = unnormalised(augmentation.strong(32)(red))[:, 16, 16]
    grey = np.ptp(strong, axis=1) < 1e-3
    assert 2 <= grey.sum() <= 28  # a fifth of 64, give or take 4 standard deviations
    assert np.std(strong[~grey, 0]) > 0.02


def test_flips_half_of_the_images():
    ramp = np.tile(np.linspace(0, 255, 32)[None, None, :, None], (200, 32, 1, 3)).astype("uint8")
    views = augmentation.weak(32)(ramp).numpy()
    flipped = (views[:, :, 0, 0].mean(axis=1) > views[:, :, -1, 0].mean(axis=1)).sum()
    assert 70 <= flipped <= 130


def test_evaluation_view_only_resizes_and_normalises():
    flat = np.full((2, 50, 60, 3), 51, "uint8")
    views = augmentation.evaluation(32, augmentation.CIFAR10)(flat).numpy()
    expected = (0.2 - np.array(augmentation.CIFAR10[0])) / np.array(augmentation.CIFAR10[1])
    np.testing.assert_allclose(views, np.broadcast_to(expected, (2, 32, 32, 3)), rtol=1e-4)


def test_two_view_dataset_gives_two_draws_of_one_image_with_its_label():
    images = np.zeros((21, 32, 32, 3), "uint8") + np.arange(21, dtype="uint8")[:, None, None, None]
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(21)))

    def noisy(batch):
        batch = tf.cast(batch, "float32")
        return batch + tf.random.uniform(tf.shape(batch), 0.0, 0.5)

    batches = keras_isd.data.two_view_dataset(dataset, noisy, noisy, batch_size=8, seed=1)
    assert len(batches) == 2
    epochs = []
    for _ in range(2):
        order = []
        for views, labels in batches:
            assert views["query"].shape == views["key"].shape == (8, 32, 32, 3)
            assert np.abs(views["query"].numpy() - views["key"].numpy()).max() > 0.1
            for name in ("query", "key"):
                np.testing.assert_array_equal(views[name].numpy()[:, 0, 0, 0] // 1, labels)
            order += list(labels.numpy())
        assert len(set(order)) == 16
        epochs.append(order)
    assert epochs[0] != epochs[1]
    again = keras_isd.data.two_view_dataset(dataset, noisy, noisy, batch_size=8, seed=1)
    assert [label for _, labels in again for label in labels.numpy()] == epochs[0]


def test_two_view_dataset_can_keep_order_and_remainder():
    dataset = tf.data.Dataset.range(5)
    batches = keras_isd.data.two_view_dataset(
        dataset, lambda x: x, lambda x: -x, batch_size=3, shuffle_buffer=0, drop_remainder=False
    )
    found = [{k: list(v.numpy()) for k, v in batch.items()} for batch in batches]
    assert found == [
        {"query": [0, 1, 2], "key": [0, -1, -2]},
        {"query": [3, 4], "key": [-3, -4]},
    ]


def test_two_view_dataset_refuses_a_batch_of_none():
    with pytest.raises(ValueError, match=r"`batch_size`.*Received: batch_size=0"):
        keras_isd.data.two_view_dataset(tf.data.Dataset.range(5), None, None, batch_size=0)
