"""Outliers by patches: planted defects, descriptors, the bank, and the baseline by pixels."""

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

import keras_isd
from keras_isd.exploration import find_local_outliers, pixel_outlier_scores
from keras_isd.exploration.local_outliers import PatchBank, thin_by_k_center
from keras_isd.exploration.patches import describe_patches

pytestmark = pytest.mark.one_backend("computed by NumPy and Pillow")


def noise(count, size=(48, 60), seed=0):
    """Images of grey noise."""
    return np.random.RandomState(seed).randint(90, 130, (count, *size, 3)).astype("uint8")


def scores_of(images, **options):
    return find_local_outliers(keras_isd.data.from_arrays(images), verbose=0, **options)


def test_a_small_defect_has_the_highest_score_and_its_place():
    images = noise(30)
    images[11, 30:36, 40:46] = 200
    found = scores_of(images)
    assert found.scores.argmax() == 11
    assert np.abs(found.places[11] - (43, 33)).max() <= 10
    heat = found.bank.make_heat_map(images[11], 11)
    assert heat.shape == (12, 15)
    assert heat.max() == found.scores[11]
    assert heat[8, 10] > 1.5 * np.median(heat)


def test_a_patch_without_texture_is_found():
    images = noise(30)
    images[4, 10:30, 10:30] = 110
    assert scores_of(images).scores.argmax() == 4


def test_two_copies_of_one_defect_are_both_found():
    images = noise(40)
    images[3, 20:28, 20:28] = 200
    images[17] = images[3]
    assert set(np.argsort(-scores_of(images).scores)[:2]) == {3, 17}


def test_an_image_is_not_compared_with_its_own_patches():
    images = noise(10)
    bank = PatchBank(keras_isd.data.from_arrays(images), bank_size=10**6)  # all patches
    # As for another image, the image finds its own patches in the bank of one of five groups.
    assert (bank.measure_distances(images[6], 6) > bank.measure_distances(images[6])).all()


def test_images_of_several_sizes_and_a_file_that_cannot_be_read(tmp_path):
    for number in range(24):
        image = noise(1, (40 + number, 64 - number), seed=number)[0]
        if number == 9:
            image[12:20, 12:20] = 220
        Image.fromarray(image).save(tmp_path / f"{number:02}.png")
    (tmp_path / "05.png").write_bytes(b"no image")
    source = keras_isd.data.from_folder(tmp_path)
    found = find_local_outliers(source, verbose=0)
    assert np.flatnonzero(np.isnan(found.scores)).tolist() == [5]
    assert 5 not in found.bank.readable
    assert np.nanargmax(found.scores) == 9
    assert np.flatnonzero(np.isnan(pixel_outlier_scores(source))).tolist() == [5]
    assert [name for name, _ in source.unreadable()] == [str(tmp_path / "05.png")]


def test_places_are_in_pixels_of_the_image_and_not_of_its_reduced_copy():
    images = noise(20, (120, 240))
    images[2, 80:110, 180:220] = 255
    found = scores_of(images, max_side=80)
    assert found.scores.argmax() == 2
    assert 165 <= found.places[2, 0] <= 235
    assert 65 <= found.places[2, 1] <= 119


@pytest.mark.parametrize(("dtype", "channels"), [("uint16", 1), ("float32", 4)])
def test_images_of_any_type_and_channels(dtype, channels):
    images = np.random.RandomState(0).randint(1000, 1400, (20, 32, 32, channels)).astype(dtype)
    images[13, 8:16, 8:16] = 3000
    assert scores_of(images).scores.argmax() == 13


def test_equal_images_have_equal_scores():
    images = np.repeat(noise(1), 12, axis=0)
    scores = scores_of(images, bank_size=10**6).scores
    np.testing.assert_allclose(scores, scores[0])
    black = np.zeros((12, 32, 32, 3), "uint8")
    np.testing.assert_allclose(scores_of(black).scores, 0)


def test_images_smaller_than_a_patch():
    images = noise(20, (8, 12))
    images[7, 2:6, 2:6] = 250
    assert scores_of(images).scores.argmax() == 7


def test_scores_depend_only_on_the_seed():
    images = noise(12)
    np.testing.assert_array_equal(scores_of(images).scores, scores_of(images).scores)
    assert not np.array_equal(scores_of(images).scores, scores_of(images, seed=1).scores)


def test_descriptors_are_means_and_deviations():
    image = np.zeros((20, 24, 2), "uint8")
    image[:4, :2] = [100, 60]  # half of the first cell
    patches = describe_patches(image)
    assert patches.shape == (1, 2, 25 * 3 + 2)
    cells = patches[0, 0, :75].reshape(3, 5, 5)  # channels, then brightness within cells
    np.testing.assert_allclose(cells[:, 0, 0], [50, 30, 40])
    assert np.count_nonzero(cells) == 3
    means = np.zeros(25)
    means[0] = 50
    np.testing.assert_allclose(patches[0, 0, 75], means.std(), rtol=1e-5)
    assert not patches[0, 1].any()


def test_each_next_centre_is_the_farthest():
    points = np.array([[0.0, 0], [1, 0], [9, 0], [0, 5], [4, 1]])
    # The mean is (2.8, 1.2), and (4, 1) the nearest; then (9, 0), (0, 5) and (0, 0) are farthest.
    assert thin_by_k_center(points, 4).tolist() == [4, 3, 2, 0]
    assert sorted(thin_by_k_center(np.ones((6, 2)), 6).tolist()) == [0, 1, 2, 3, 4, 5]


def test_pixel_scores_are_the_residuals_of_scikit_learns_components():
    images = noise(25, (32, 32))
    flat = images.reshape(25, -1).astype("float32")
    pca = PCA(4, svd_solver="full").fit(flat)
    expected = np.linalg.norm(flat - pca.inverse_transform(pca.transform(flat)), axis=1)
    source = keras_isd.data.from_arrays(images)
    np.testing.assert_allclose(pixel_outlier_scores(source, 4), expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bank_size": 0}, "`bank_size` must be a positive integer"),
        ({"max_side": 1.5}, "`max_side` must be a positive integer"),
        ({"seed": -1}, "`seed` must"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        scores_of(noise(12), **options)
    with pytest.raises(ValueError, match=r"at least 10 readable images\. Received: 9 of 9"):
        scores_of(noise(9))
    with pytest.raises(ValueError, match="`components` must be a positive integer"):
        pixel_outlier_scores(keras_isd.data.from_arrays(noise(3)), components=0)
