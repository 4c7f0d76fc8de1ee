"""Operations for images without colour or orientation, by hand and against other libraries."""

import keras
import numpy as np
import pytest

from keras_isd import augmentation, data
from tests.support.photographs import small_photographs

PHOTOGRAPHS = small_photographs()
COUNT = len(PHOTOGRAPHS)


def apply(operation, images, numbers=None, **factors):
    """The images changed with these factors, one number or array for each image."""
    images = keras.ops.convert_to_tensor(np.asarray(images, "float32"))
    factors = {
        name: keras.ops.convert_to_tensor(np.stack([value] * len(images)))
        for name, value in factors.items()
    }
    if isinstance(operation, augmentation.GammaJitter.__mro__[1]):
        factors["chosen"] = keras.ops.ones(len(images), "bool")
    return keras.ops.convert_to_numpy(operation.apply(keras.ops, images, **factors))


def test_the_eight_orientations_are_those_of_numpy():
    image = np.arange(16.0).reshape(1, 4, 4, 1)
    found = set()
    for number in range(8):
        flags = [np.bool_(number >> bit & 1) for bit in range(3)]
        names = ("mirrored", "upturned", "transposed")
        turned = apply(augmentation.RandomOrientation(), image, **dict(zip(names, flags)))
        found.add(turned.tobytes())
    plane = image[0, ..., 0].astype("float32")
    expected = {np.rot90(p, k).tobytes() for p in (plane, plane.T) for k in range(4)}
    assert found == expected
    assert len(expected) == 8


def test_images_that_are_not_square_cannot_be_turned():
    view = augmentation.Augmenter([augmentation.RandomOrientation()])
    with pytest.raises(ValueError, match="4 x 6"):
        view(np.zeros((1, 4, 6, 1), "uint8"))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 1.7])
def test_gamma_is_that_of_scikit_image_or_the_power(gamma):
    found = apply(augmentation.GammaJitter(), PHOTOGRAPHS, gamma=np.float32(gamma))
    np.testing.assert_allclose(found, 255 * (PHOTOGRAPHS / 255.0) ** gamma, atol=0.05)


def test_gamma_keeps_values_below_zero():
    found = apply(augmentation.GammaJitter(), np.full((1, 1, 1, 1), -7.0), gamma=np.float32(2))
    assert found.item() == -7.0


def test_illumination_is_a_polynomial_of_second_degree():
    operation = augmentation.IlluminationJitter(additive=0.5, multiplicative=0.25)
    images = np.full((1, 5, 5, 2), 100.0)
    zero, added, multiplied = (np.zeros(5, "float32") for _ in range(3))
    added[0], multiplied[4] = 1.0, 0.4
    found = apply(operation, images, added=added, multiplied=zero)
    y = np.array([-0.8, -0.4, 0, 0.4, 0.8])
    np.testing.assert_allclose(found[0, :, 3, 1], 100 + 255 * 0.5 * y, atol=1e-3)
    found = apply(operation, images, added=zero, multiplied=multiplied)
    np.testing.assert_allclose(
        found[0, 2, :, 0], 100 * (1 + 0.25 * 0.4 * (1.5 * y**2 - 0.5)), atol=1e-3
    )


def test_a_channel_stays_even_if_all_are_dropped():
    operation = augmentation.ChannelDropout(3, share=0.9, rate=1.0)
    numbers = np.array([[0.0, 0.5, 0.2, 0.3], [0.0, 0.95, 0.91, 0.1]], "float32")
    factors = operation.factors(keras.ops, keras.ops.convert_to_tensor(numbers), 1, 1)
    kept = keras.ops.convert_to_numpy(factors["kept"])
    assert kept.tolist() == [[1, 0, 0], [1, 1, 0]]
    found = apply(operation, np.ones((1, 1, 1, 3)), kept=kept[1])
    assert found.ravel().tolist() == [1, 1, 0]


def test_erased_pixels_are_the_mean_of_their_channel():
    image = np.arange(32.0).reshape(1, 4, 4, 2)
    found = apply(
        augmentation.RandomErasing(), image,
        height=np.float32(0.5), width=np.float32(0.25), y=np.float32(0.5), x=np.float32(0.375),
    )  # fmt: skip
    expected = image.copy()
    expected[0, 1:3, 1] = image.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_stains_are_separated_and_mixed_as_in_scikit_image():
    color = pytest.importorskip("skimage.color")
    scale, shift = np.array([1.2, 0.8, 1.1], "float32"), np.array([0.01, -0.02, 0.0], "float32")
    images = np.maximum(PHOTOGRAPHS, 2)  # scikit-image's floats and ours differ for black
    found = apply(augmentation.StainJitter(), images, scale=scale, shift=shift)
    expected = 255 * color.hed2rgb(color.rgb2hed(images / 255.0) * scale + shift)
    np.testing.assert_allclose(found, expected, atol=0.5)


def test_stains_by_hand():
    """A pure stain, of amount 0.1 in units of scikit-image, doubled."""
    absorbed = 0.1 * np.array([0.65, 0.70, 0.29])
    image = 255 * np.exp(np.log(1e-6) * absorbed)
    doubled = apply(
        augmentation.StainJitter(),
        image.reshape(1, 1, 1, 3),
        scale=np.full(3, 2, "float32"),
        shift=np.zeros(3, "float32"),
    )
    expected = 255 * np.exp(np.log(1e-6) * 2 * absorbed)
    np.testing.assert_allclose(doubled.ravel(), expected, rtol=1e-3)


def test_noise_has_the_variance_of_the_model():
    operation = augmentation.SensorNoise(rate=1.0)
    seeds = np.array([0.25, 0.75], "float32")
    images = np.full((1, 200, 200, 1), 128.0)
    noise = {"gaussian": np.float32(0.03), "poisson": np.float32(0.04), "seeds": seeds}
    found = apply(operation, images, **noise) - images
    expected = 255 * np.sqrt(0.03**2 + 0.04**2 * 128 / 255)
    assert abs(found.mean()) < 4 * expected / 200
    assert found.std() == pytest.approx(expected, rel=0.02)
    assert np.abs(np.mean(found**4) / found.var() ** 2 - 3) < 0.15  # as normal numbers have
    plane = found[0, ..., 0] / found.std()
    for shifted in (plane[1:] * plane[:-1], plane[:, 1:] * plane[:, :-1]):
        assert abs(shifted.mean()) < 0.02  # neighbours are independent


def test_noise_differs_by_image_and_is_that_of_its_numbers():
    view = augmentation.Augmenter([augmentation.SensorNoise(0.1, 0, rate=1.0)])
    numbers = np.random.RandomState(0).rand(3, view.draws).astype("float32")
    numbers[2] = numbers[0]
    first, second, third = np.asarray(
        keras.ops.convert_to_numpy(view(np.full((3, 16, 16, 1), 50.0), numbers))
    )
    assert (first == third).all()
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.2


def surface(kind, side=96):
    y, x = np.mgrid[:side, :side] / side
    return {"flat": 0 * y, "plane": 90 * x + 40 * y, "bowl": 160 * (x - 0.4) ** 2 + 90 * y}[kind]


def cells(side=96, seed=0):
    """Bright discs that cover a quarter of the image."""
    random, image = np.random.RandomState(seed), np.zeros((side, side))
    y, x = np.mgrid[:side, :side]
    for _ in range(5):
        cy, cx = random.randint(10, side - 10, 2)
        image[(y - cy) ** 2 + (x - cx) ** 2 < 120] = 1.0
    return image


@pytest.mark.slow  # on JAX, which compiles each small operation by itself
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kind", ["flat", "plane", "bowl"])
def test_what_lies_on_a_background_does_not_depend_on_it(kind, sign):
    """The same cells under other light, brighter, on another background: the same image."""
    found = [
        np.asarray(augmentation.Augmenter([augmentation.NormalizeImage()])(image[..., None]))
        for image in (sign * cells(), 500 + 0.3 * sign * 900 * cells() + surface(kind))
    ]
    assert np.abs(found[0] - found[1]).max() < 0.1
    assert np.abs(found[0]).max() == pytest.approx(1.0, abs=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_constant_and_empty_images_have_finite_values(degree):
    view = augmentation.Augmenter([augmentation.NormalizeImage(degree)])
    for image in (np.zeros((40, 50, 2)), np.full((40, 50, 2), 60_000)):
        found = keras.ops.convert_to_numpy(view(image.astype("uint16")))
        assert np.abs(found).max() < 0.1


def test_without_a_surface_the_median_is_taken_off():
    image = np.r_[np.zeros(600), np.full(424, 10.0)].reshape(32, 32, 1)
    view = augmentation.Augmenter([augmentation.NormalizeImage(degree=0)])
    found = keras.ops.convert_to_numpy(view(image))
    scale = 2 * np.sqrt(424 / 1024)  # two standard deviations from 0, more than the distance of 1
    np.testing.assert_allclose(np.unique(found), [0, 1 / scale], atol=1e-5)


OPERATIONS = {
    "orientation": augmentation.RandomOrientation(),
    "erasing": augmentation.RandomErasing(rate=0.7),
    "gamma": augmentation.GammaJitter(rate=0.7),
    "illumination": augmentation.IlluminationJitter(rate=0.7),
    "dropout": augmentation.ChannelDropout(3, rate=0.7),
    "stain": augmentation.StainJitter(rate=0.7),
    "noise": augmentation.SensorNoise(rate=0.7),
    "image": augmentation.NormalizeImage(0),
    "background": augmentation.NormalizeImage(2),
}
WITH_MARK = ("background", "stain", "noise")
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in WITH_MARK]


@pytest.mark.parametrize("name", [*(n for n in OPERATIONS if n not in WITH_MARK), *SLOW])
def test_pixels_are_the_same_in_tf_data_and_in_the_step(name):
    tf = pytest.importorskip("tensorflow")
    view = augmentation.Augmenter([OPERATIONS[name]])
    numbers = np.random.RandomState(1).rand(COUNT, view.draws).astype("float32")
    in_step = keras.ops.convert_to_numpy(view(PHOTOGRAPHS, numbers))
    pairs = tf.data.Dataset.from_tensor_slices((PHOTOGRAPHS, numbers))
    one_by_one = np.stack([x.numpy() for x in pairs.map(view)])
    in_batches = next(iter(pairs.batch(COUNT).map(view))).numpy()
    largest = max(1.0, np.abs(in_step).max())
    np.testing.assert_allclose(one_by_one, in_step, atol=2e-4 * largest)
    np.testing.assert_allclose(in_batches, in_step, atol=2e-4 * largest)


STATISTICS = data.ChannelStatistics((0.3,), (0.2,), (-0.2, 1.2), "background")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["microscopy", "satellite", "industry", "weak", "evaluation"])
def test_views_with_normalised_images_are_saved_and_loaded(policy):
    view = getattr(augmentation, policy)(32, STATISTICS)
    config = keras.saving.serialize_keras_object(view)
    loaded = keras.saving.deserialize_keras_object(config)
    images = np.random.RandomState(0).randint(0, 4000, (3, 50, 60, 1)).astype("uint16")
    numbers = np.random.RandomState(1).rand(3, view.draws).astype("float32")
    one, other = (keras.ops.convert_to_numpy(v(images, numbers)) for v in (view, loaded))
    np.testing.assert_array_equal(one, other)
    assert one.shape == (3, 32, 32, 1)


def test_a_file_pipeline_normalises_the_whole_image_before_the_crop(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    for number, side in enumerate((40, 64, 50)):
        image = 1000 * cells(96, number)[:side] + surface("plane")[:side] + 300
        tifffile.imwrite(tmp_path / f"{number}.tif", image.astype("uint16"))
    source = data.from_folder(tmp_path, channels=1)
    view = augmentation.evaluation(32, STATISTICS)
    expected = [np.asarray(keras.ops.convert_to_numpy(view(source[row]))) for row in range(3)]
    in_numpy = view.before_crop(source[1])
    whole = augmentation.Augmenter([augmentation.NormalizeImage()])(source[1])
    np.testing.assert_allclose(in_numpy, keras.ops.convert_to_numpy(whole), atol=1e-5)
    found, _ = data.batches.view_batches.readable_views(source, view)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    pytest.importorskip("tensorflow")
    pipeline = data.one_view_dataset(source, view, 3)
    [batch] = [keras.ops.convert_to_numpy(b[0] if isinstance(b, tuple) else b) for b in pipeline]
    np.testing.assert_allclose(batch, expected, atol=2e-3)


def test_stains_need_three_channels():
    with pytest.raises(ValueError, match="Received: 1 channels"):
        augmentation.pathology(32, STATISTICS)
