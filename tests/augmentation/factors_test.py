"""Operations draw factors from the stated distributions, independently of one another."""

import keras
import numpy as np
import pytest
from scipy import stats

from keras_isd import augmentation

DRAWS = 20_000
NUMBERS = np.random.RandomState(0)


def draw(operation, height=300, width=400):
    numbers = NUMBERS.rand(DRAWS, operation.draws).astype("float32")
    factors = operation.factors(keras.ops, keras.ops.convert_to_tensor(numbers), height, width)
    return {name: keras.ops.convert_to_numpy(value) for name, value in factors.items()}


def assert_uniform(values, low, high):
    assert low <= values.min()
    assert values.max() <= high
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3


def assert_uncorrelated(*columns):
    correlations = np.corrcoef(np.stack(columns)) - np.eye(len(columns))
    assert np.abs(correlations).max() < 4.5 / np.sqrt(DRAWS)


def test_jitter_draws_uniform_factors_in_every_order():
    factors = draw(augmentation.ColorJitter(0.4, 0.3, 0.2, 0.1, rate=1.0))
    for column, strength in enumerate((0.4, 0.3, 0.2)):
        assert_uniform(factors["blends"][:, column], 1 - strength, 1 + strength)
    assert_uniform(factors["shift"], -0.1, 0.1)
    codes = factors["order"] @ [64, 16, 4, 1]
    counts = np.unique(codes, return_counts=True)[1]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3
    assert_uncorrelated(*factors["blends"].T, factors["shift"], codes)


def test_strong_jitter_never_has_a_negative_factor():
    assert draw(augmentation.ColorJitter(brightness=1.5))["blends"].min() >= 0


@pytest.mark.parametrize(
    "operation",
    [
        augmentation.ColorJitter(),
        augmentation.GaussianBlur(),
        augmentation.Grayscale(0.2),
        augmentation.HorizontalFlip(),
        augmentation.Solarize(),
    ],
)
def test_the_share_of_chosen_images_is_the_rate(operation):
    share = draw(operation)["chosen"].mean()
    rate = operation.rate
    assert abs(share - rate) < 4.5 * np.sqrt(rate * (1 - rate) / DRAWS)


def test_blur_draws_a_uniform_sigma_whether_or_not_an_image_is_chosen():
    factors = draw(augmentation.GaussianBlur())
    assert_uniform(factors["sigma"], 0.1, 2.0)
    assert_uncorrelated(factors["sigma"], factors["chosen"])


def test_crops_have_uniform_area_log_uniform_ratio_and_uniform_position():
    # In a large image these areas always fit, so no crop is rejected.
    crop = augmentation.RandomResizedCrop(32, area=(0.01, 0.05))
    box = draw(crop, height=3000, width=4000)
    area = box["height"] * box["width"] / 12e6
    ratio = np.log(box["width"] / box["height"])
    # Rounding to whole pixels blurs the edges of the ranges by about 1 / 300.
    assert_uniform(np.clip(area, 0.01, 0.05), 0.01, 0.05)
    assert_uniform(np.clip(ratio, np.log(3 / 4), np.log(4 / 3)), np.log(3 / 4), np.log(4 / 3))
    top, left = box["top"] / (3000 - box["height"]), box["left"] / (4000 - box["width"])
    assert_uniform(top, 0, 1)
    assert_uniform(left, 0, 1)
    assert_uncorrelated(area, ratio, top, left)


def torchvision_box(numbers, height, width, area=(0.2, 1.0), ratio=(3 / 4, 4 / 3)):
    """torchvision's `RandomResizedCrop.get_params`, with the random numbers of its ten tries."""
    for i in range(10):
        target = height * width * (area[0] + (area[1] - area[0]) * numbers[i])
        low, high = np.log(ratio)
        aspect = np.exp(low + (high - low) * numbers[10 + i])
        w, h = round(np.sqrt(target * aspect)), round(np.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            top, left = int(numbers[20] * (height - h + 1)), int(numbers[21] * (width - w + 1))
            return top, left, h, w
    if width / height < ratio[0]:
        w, h = width, round(width / ratio[0])
    elif width / height > ratio[1]:
        h, w = height, round(height * ratio[1])
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize("size", [(32, 32), (375, 500), (500, 333), (40, 400), (301, 30)])
def test_crops_follow_torchvisions_rule(size):
    crop = augmentation.RandomResizedCrop(32)
    numbers = np.random.RandomState(1).rand(500, crop.draws).astype("float32")
    factors = crop.factors(keras.ops, keras.ops.convert_to_tensor(numbers), *size)
    found = np.stack(
        [keras.ops.convert_to_numpy(factors[n]) for n in ("top", "left", "height", "width")], 1
    )
    expected = np.array([torchvision_box(row.astype("float64"), *size) for row in numbers])
    # float32 may round a side that lies between two pixels the other way, and so the position.
    assert (np.abs(found - expected).max(axis=1) > 0).mean() < 0.01
    assert np.abs(found[:, 2:] - expected[:, 2:]).max() <= 1


def test_central_crop_is_the_usual_one_for_imagenet():
    box = draw(augmentation.CentralCrop(224, 224 / 256), height=512, width=768)
    for name, expected in (("top", 32), ("left", 160), ("height", 448), ("width", 448)):
        assert (box[name] == expected).all()


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: augmentation.RandomResizedCrop(32, area=(0.5, 0.2)), "area"),
        (lambda: augmentation.RandomResizedCrop(32, area=(0.5, 1.2)), "area"),
        (lambda: augmentation.ColorJitter(hue=0.6), "hue"),
        (lambda: augmentation.Grayscale(1.1), "rate"),
        (lambda: augmentation.GaussianBlur((-1, 1)), "sigma"),
        (lambda: augmentation.CentralCrop(32, 1.5), "fraction"),
    ],
)
def test_invalid_ranges_are_rejected(make, argument):
    with pytest.raises(ValueError, match=f"Argument `{argument}` must .*Received: {argument}="):
        make()
