"""Copies of images are found and verified on the pixels; images that are merely alike are not."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter, gaussian_filter1d

import keras_isd
from keras_isd.exploration import find_copies
from keras_isd.exploration.comparison import Comparison
from keras_isd.exploration.copies import SAME, _make_groups
from keras_isd.exploration.hashes import find_similar_hashes

pytestmark = pytest.mark.one_backend("NumPy, SciPy and Pillow compare the images")


def draw_texture(seed, size=160):
    """Brushed metal: all of these are alike at a glance."""
    random = np.random.RandomState(seed)
    fine = gaussian_filter1d(random.randn(size, size), 5, axis=1)
    image = 140 + 9 * fine / fine.std() + np.linspace(-1, 1, size) * 10 * random.randn()
    return np.clip(image[..., None] + [4, 2, -6], 0, 255).astype("uint8")


def draw_scene(seed, height=150, width=200):
    """Shapes of several sizes and colours in front of a shaded, slightly noisy background."""
    random = np.random.RandomState(seed)
    image = np.full((height, width, 3), random.uniform(60, 190, 3))
    image += 25 * gaussian_filter(random.randn(height, width), 20)[..., None] * 40
    y, x = np.mgrid[:height, :width]
    for _ in range(40):
        top, left, radius = (
            random.uniform(0, height),
            random.uniform(0, width),
            random.exponential(12),
        )
        stretch = random.uniform(0.4, 2.5)
        is_inside = np.hypot((y - top) * stretch, x - left) < radius + 2
        image[is_inside] = random.uniform(0, 255, 3)
    image = gaussian_filter(image, (0.7, 0.7, 0)) + 3 * random.randn(height, width, 1)
    return np.clip(image, 0, 255).astype("uint8")


def compress(image, quality=40):
    contents = io.BytesIO()
    Image.fromarray(image).save(contents, "JPEG", quality=quality)
    return np.asarray(Image.open(contents))


def crop(image, share=0.05, is_resized=True):
    height, width = image.shape[:2]
    top, left = int(share * height), int(share * width)
    part = Image.fromarray(image[top : height - top, left : width - left])
    return np.asarray(part.resize((width, height)) if is_resized else part)


def rotate(image, degrees=4):
    turned = Image.fromarray(image).rotate(degrees, Image.Resampling.BICUBIC)
    return crop(np.asarray(turned), 0.08, is_resized=False)


def brighten(image):
    return np.clip(image.astype(float) * 1.15 + 12, 0, 255).astype("uint8")


CHANGES = {
    "pixels": compress,
    "cropped": crop,
    "brightness": brighten,
    "flipped": lambda image: image[:, ::-1],
    "turned": lambda image: np.rot90(image),
}


def as_sets(found):
    return {frozenset(rows.tolist()) for rows in found.groups}


@pytest.fixture(scope="module")
def features():
    """Features that do not separate anything, so that all pairs are candidates."""
    return np.ones((12, 4))


@pytest.mark.parametrize("draw", [draw_texture, draw_scene])
@pytest.mark.parametrize("difference", CHANGES)
def test_a_changed_copy_is_found_by_its_hash_and_described(draw, difference):
    images = [draw(seed) for seed in range(8)]
    images.append(np.ascontiguousarray(CHANGES[difference](images[3])))
    found = find_copies(images)
    assert as_sets(found) == {frozenset({3, 8})}
    assert difference in found.comparisons[0][1].difference.split()
    assert found.comparisons[0][1].confidence > 0.6


def test_a_rotated_and_a_strongly_cropped_copy_are_found_by_their_features(features):
    images = [draw_scene(seed) for seed in range(10)]
    images += [rotate(images[2]), crop(images[5], 0.12, is_resized=False)]
    found = find_copies(images, features)
    assert as_sets(found) == {frozenset({2, 10}), frozenset({5, 11})}
    assert {group[1].difference.split()[0] for group in found.comparisons} == {"rotated", "cropped"}


@pytest.mark.parametrize("draw", [draw_texture, draw_scene])
def test_images_that_are_alike_are_no_copies_even_if_their_features_are_equal(draw, features):
    found = find_copies([draw(seed) for seed in range(12)], features, k=11)
    assert found.candidates == 66
    assert found.groups == []


def test_a_frame_that_all_images_share_does_not_make_copies(features):
    images = [draw_texture(seed) for seed in range(12)]
    for image in images:
        image[:20] = image[-20:] = 0
        image[:, :20] = image[:, -20:] = 255
    assert find_copies(images, features).groups == []


def test_a_scene_with_another_object_or_another_colour_is_no_copy(features):
    images = [draw_scene(seed) for seed in range(12)]
    images[1] = images[0].copy()
    images[1][40:70, 60:90] = draw_scene(99)[40:70, 60:90]
    images[3] = images[2][..., ::-1]
    assert find_copies(images, features).groups == []


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_images_of_any_depth_and_number_of_channels_are_compared(dtype):
    random = np.random.RandomState(0)
    images = [
        np.stack([draw_texture(10 * seed + c)[..., 0] for c in range(5)], -1) for seed in range(6)
    ]
    images = [(20.0 * image + 900).astype(dtype) for image in images]
    noise = 5 * random.randn(*images[4].shape)
    images.append((images[4] * 1.2 + noise).astype(dtype)[::-1])
    assert as_sets(find_copies(images)) == {frozenset({4, 6})}


def test_images_without_detail_are_copies_only_if_all_pixels_are_equal():
    flat = [np.full((40, 40, 3), value, "uint8") for value in (0, 10, 10, 200)]
    found = find_copies([*flat, draw_scene(0)])
    assert as_sets(found) == {frozenset({1, 2})}
    assert found.comparisons[0][1] == SAME


def test_equal_images_are_one_group_however_many(features):
    images = [draw_scene(0)] * 12
    found = find_copies(images, features, k=2)
    assert as_sets(found) == {frozenset(range(12))}
    assert found.warning == ""  # equal pixels are no mistake


def test_the_preferred_image_is_kept():
    images = [draw_scene(0), draw_scene(1), compress(draw_scene(1)), draw_scene(1)]
    found = find_copies(images, prefer=[9, 1, 2, 3])
    assert found.groups[0].tolist() == [3, 1, 2]


def test_many_changed_copies_are_implausible():
    images = [draw_scene(seed) for seed in range(4)]
    images += [compress(image) for image in images]
    assert "4 of 8 images" in find_copies(images).warning


def test_an_unreadable_image_is_in_no_group_and_reported(tmp_path):
    for number, image in enumerate([draw_scene(0), draw_scene(0), draw_scene(1)]):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"no image")
    source = keras_isd.data.from_paths(sorted(tmp_path.iterdir()))
    found = find_copies(source)
    assert as_sets(found) == {frozenset({0, 1})}
    assert found.unreadable == [3]


links = st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda p: p[0] < p[1]))


@settings(max_examples=100, deadline=None)
@given(links, st.sets(st.integers(1, 11)), st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_every_image_of_a_group_is_verified_against_the_one_that_is_kept(links, equal, weight):
    """Images of `equal` have the pixels of the image before them."""
    classes, first = {}, {}
    for row in range(12):
        first[row] = first[row - 1] if row in equal else row
        classes.setdefault(first[row], []).append(row)
    verified = {p: Comparison(0.9, "pixels") for p in links if set(p) <= classes.keys()}
    groups, comparisons = _make_groups(classes, verified, np.array(weight, float))
    rows = [row for group in groups for row in group.tolist()]
    assert len(rows) == len(set(rows))  # so exactly one image of each group is kept
    for group, about in zip(groups, comparisons):
        assert len(group) > 1
        kept = first[group[0]]
        for row, comparison in zip(group.tolist(), about):
            pair = tuple(sorted((kept, first[row])))
            assert comparison == (SAME if pair[0] == pair[1] else verified[pair])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 7))
def test_similar_hashes_do_not_depend_on_the_blocks(seed, rows):
    from keras_isd.exploration import hashes

    random = np.random.RandomState(seed)
    bits = random.rand(9, 8, 256) < 0.5
    bits[4] = bits[2] ^ (random.rand(8, 256) < 0.1)
    bits[7, 3] = bits[1, 0]
    before, hashes.BLOCK_VALUES = hashes.BLOCK_VALUES, 9 * rows
    try:
        found = find_similar_hashes(bits)
    finally:
        hashes.BLOCK_VALUES = before
    assert [pair for pair in found.tolist() if pair != [1, 7]] == [[2, 4]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": np.ones((3, 2))}, "`features` must have a row for each image"),
        ({"prefer": [1]}, "`prefer` must have a row for each image"),
        ({"min_confidence": 2}, "`min_confidence` must be in"),
        ({"ratio": 0}, "`ratio` must be in"),
        ({"k": 0}, "`k` must be a positive integer"),
    ],
)
def test_an_argument_outside_its_range_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        find_copies([draw_scene(0)] * 2, **options)
