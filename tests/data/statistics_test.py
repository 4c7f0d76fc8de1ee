"""Channel statistics equal those that NumPy computes from all images at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_isd import augmentation, data

pytestmark = pytest.mark.one_backend("NumPy is the same under any backend")


def make_images(count=9, channels=5, seed=0):
    scale = np.arange(1, channels + 1) * 500
    return (
        np.random.default_rng(seed).integers(0, scale, (count, 12, 10, channels)).astype("uint16")
    )


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["uint8", "uint16", "int16", "int32", "float32"]),
    st.integers(1, 70),
    st.integers(2, 6),
)
def test_means_and_deviations_equal_those_of_numpy(dtype, count, channels):
    images = np.random.default_rng(count).integers(0, 200, (count, 3, 4, channels)).astype(dtype)
    found = data.channel_statistics(data.from_arrays(images), (0, 255), verbose=0)
    scaled = images.astype("float64") / 255
    np.testing.assert_allclose(found.mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(found.std, scaled.std(axis=(0, 1, 2)), rtol=1e-6)


def test_the_value_range_is_given_or_that_of_bytes_or_percentiles():
    images = make_images()
    source = data.from_arrays(images)
    assert data.channel_statistics(source, (0, 4095), verbose=0).value_range == (0, 4095)
    bytes_ = data.from_arrays((images >> 8).astype("uint8"))
    assert data.channel_statistics(bytes_, verbose=0).value_range == (0.0, 255.0)
    images[0, 0, 0] = 65535  # a dead pixel
    source_with_it = data.from_arrays(images)
    low, high = data.channel_statistics(source_with_it, percentiles=(1, 99), verbose=0).value_range
    assert low == pytest.approx(0, abs=50)
    assert high == pytest.approx(2300, abs=200)
    low, high = data.channel_statistics(
        source, percentiles=(1, 99), per_channel=True, verbose=0
    ).value_range
    np.testing.assert_allclose(high, np.arange(1, 6) * 500 * 0.99, rtol=0.05)


@pytest.mark.parametrize("value_range", [None, (0, 4095), ([0] * 5, [500, 1000, 1500, 2000, 2500])])
def test_normalised_views_have_mean_0_and_deviation_1(value_range):
    images = make_images(64)
    statistics = data.channel_statistics(data.from_arrays(images), value_range, verbose=0)
    whole = augmentation.Augmenter(
        [augmentation.Rescale(*statistics.value_range), augmentation.Normalize(*statistics[:2])]
    )
    views = np.asarray(whole(images))
    np.testing.assert_allclose(views.mean(axis=(0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(views.std(axis=(0, 1, 2)), 1, atol=1e-3)


def test_the_seed_draws_the_sampled_images():
    images = make_images(40)
    source = data.from_arrays(images)
    one, again, other = (
        data.channel_statistics(source, images=8, seed=seed, verbose=0) for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other
    rows = np.sort(np.random.default_rng(1).permutation(40)[:8])
    part = data.channel_statistics(source.subset(rows), one.value_range, verbose=0)
    np.testing.assert_allclose(part.mean, one.mean)


def test_unreadable_files_are_omitted(tmp_path):
    for number, image in enumerate(make_images(3)):
        np.save(tmp_path / f"{number}.npy", image)
    (tmp_path / "0.npy").write_bytes(b"")
    found = data.channel_statistics(data.from_folder(tmp_path), (0, 1), verbose=0)
    np.testing.assert_allclose(found.mean, make_images(3)[1:].mean(axis=(0, 1, 2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": np.zeros((3, 4, 4, 3))}, "`source` must .*Received: ndarray"),
        ({"images": 0}, "`images` must .*Received: images=0"),
        ({"percentiles": (5, 101)}, r"`percentiles` must .*Received: percentiles=\(5, 101\)"),
        ({"value_range": (3, 3)}, "`value_range` must be finite numbers"),
        ({"source": data.from_arrays(np.full((2, 4, 4, 3), 7, "uint8"))}, "channel 0 of 3, .* 7"),
    ],
)
def test_invalid_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.channel_statistics(
            **{"source": data.from_arrays(make_images()), "verbose": 0, **arguments}
        )


@pytest.mark.parametrize(
    ("dtype", "offset", "spread"),
    [("int32", 2e9, 10), ("float32", 1e6, 0.5), ("float32", 1e5, 0.05), ("float32", 0, 1e-9)],
)
def test_small_differences_from_a_large_offset_are_measured(dtype, offset, spread):
    images = np.random.RandomState(0).uniform(-spread, spread, (6, 9, 8, 2)) + offset
    images = images.astype(dtype)
    found = data.channel_statistics(data.from_arrays(images), (0, 1), verbose=0)
    np.testing.assert_allclose(found.std, images.std((0, 1, 2), "float64"), rtol=1e-9)
    np.testing.assert_allclose(found.mean, images.mean((0, 1, 2), "float64"), rtol=1e-12)


def test_pixels_that_are_not_finite_are_refused():
    images = np.random.RandomState(0).rand(3, 8, 8, 1).astype("float32")
    images[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match=r"`source` must have finite pixels.*Received: NaN"):
        data.channel_statistics(data.from_arrays(images), (0, 1), verbose=0)
