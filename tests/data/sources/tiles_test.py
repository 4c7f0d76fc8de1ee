"""Tiles of large images: their places, pixels, names, background, shifts and errors."""

import itertools
import math
import pickle
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from keras_isd import augmentation, data
from keras_isd.data.sources import foreground, tiles
from tests.data.decoding.windows_test import write_pyramid

pytestmark = pytest.mark.one_backend("reads files with NumPy")

RANDOM = np.random.RandomState(0)
SCENE = RANDOM.randint(0, 256, (150, 200, 3)).astype("uint8")


def make_slide(seed=0, side=1024, base=235, noise=3):
    """A slide of glass with tissue, and where the tissue is."""
    random = np.random.RandomState(seed)
    tissue = ndimage.gaussian_filter(random.randn(side, side), 80) > 0.002
    texture = 150 + 100 * ndimage.gaussian_filter(random.randn(side, side, 3), (2, 2, 0))
    glass = base + noise * random.randn(side, side, 3)
    return np.where(tissue[..., None], texture, glass).clip(0, 255).astype("uint8"), tissue


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(8, 70),
    width=st.integers(8, 70),
    size=st.integers(1, 8),
    stride=st.integers(1, 12),
)
def test_each_tile_is_the_slice_that_its_name_says(height, width, size, stride):
    image = SCENE[:height, :width]
    found = data.tiles(data.from_arrays(image[None]), size, stride, keep=0)
    assert len(set(found.names)) == len(found)
    covered = np.zeros((height, width), bool)
    for name, tile in zip(found.names, found):
        file, (left, top, across, down, level) = tiles.parse_name(name)
        assert (file, across, down, level) == ("row 0", size, size, 0)
        np.testing.assert_array_equal(tile, image[top : top + size, left : left + size])
        covered[top : top + size, left : left + size] = True
    assert covered.all() or stride > size
    assert covered[-1, -1]


@pytest.mark.parametrize("ending", ["png", "tif", "npy"])
@pytest.mark.parametrize("in_memory", [False, True])
def test_tiles_of_files_are_slices_of_the_decoded_images(ending, in_memory, tmp_path):
    for number, scene in enumerate([SCENE, SCENE[::-1, :120]]):
        path = tmp_path / f"{number}.{ending}"
        if ending == "npy":
            np.save(path, scene)
        else:
            Image.fromarray(scene).save(path)
    found = data.tiles(data.from_folder(tmp_path), 50, keep=0)
    found = found.cache() if in_memory else found
    assert len(found) == 12 + 9
    assert found.group_names == [f"0.{ending}", f"1.{ending}"]
    assert found.groups.tolist() == [0] * 12 + [1] * 9
    np.testing.assert_array_equal(found[5], SCENE[50:100, 50:100])
    np.testing.assert_array_equal(found[14], SCENE[::-1][:50, 70:120])
    assert found.names[14] == f"{tmp_path}/1.{ending}[70,0,50,50]"
    images = [image.numpy() for image in found.dataset()]
    assert all(np.array_equal(one, other) for one, other in zip(images, found))


def test_tiles_of_a_level_of_a_pyramid(tmp_path):
    write_pyramid(tmp_path / "slide.tif", SCENE)
    found = data.tiles(data.from_folder(tmp_path), 32, level=1, keep=0)
    assert found.names[1] == f"{tmp_path}/slide.tif[32,0,32,32@1]"
    np.testing.assert_array_equal(found[1], SCENE[::2, ::2][:32, 32:64])


def test_a_source_of_names_has_the_same_tiles(tmp_path):
    write_pyramid(tmp_path / "slide.tif", SCENE)
    Image.fromarray(SCENE).save(tmp_path / "whole.png")
    large = data.from_folder(tmp_path)
    found = data.tiles(large.subset([0]), 32, level=1, keep=0)
    names = [found.names[4], str(tmp_path / "whole.png"), found.names[0]]
    again = data.from_paths(names, labels=["a", "b", "a"])
    assert list(again.names) == names
    assert again.labels.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(again[0], found[4])
    np.testing.assert_array_equal(again[1], SCENE)
    np.testing.assert_array_equal(again[2], found[0])


def test_a_file_with_the_name_of_a_tile_is_a_file(tmp_path):
    path = tmp_path / "odd[0,0,8,8]"
    Image.fromarray(SCENE).save(path, "PNG")
    assert data.from_paths([path])[0].shape == SCENE.shape


def test_labels_and_groups_are_those_of_the_large_image():
    large = data.from_arrays(np.stack([SCENE, SCENE]), [3, 1]).with_groups(["x", "y"])
    found = data.tiles(large, 100, keep=0)
    assert found.labels.tolist() == [3] * 4 + [1] * 4
    assert found.groups.tolist() == [0] * 4 + [1] * 4
    assert found.group_names == ["x", "y"]


def test_a_subset_and_a_pickled_source_have_the_same_tiles():
    found = data.tiles(data.from_arrays(SCENE[None]), 50, keep=0).subset([7, 2])
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again[0], found[0])
    assert again.names == found.names == ["row 0[150,50,50,50]", "row 0[100,0,50,50]"]
    assert again.boxes.tolist() == [[0, 150, 50, 50, 50, 0], [0, 100, 0, 50, 50, 0]]


@pytest.mark.parametrize("base", [235, 10])
@pytest.mark.parametrize("noise", [0, 3, 8])
def test_tiles_of_background_are_left_out_whether_it_is_bright_or_dark(base, noise):
    image, tissue = make_slide(base=base, noise=noise)
    large = data.from_arrays(image[None])
    found = data.tiles(large, 128)
    share = tissue.reshape(8, 128, 8, 128).mean(axis=(1, 3)).ravel()
    every = data.tiles(large, 128, keep=0)
    kept = np.isin(list(every.names), list(found.names))
    assert kept[share > 0.5].all()
    assert not kept[share < 0.05].any()


def test_a_scene_without_background_is_kept_whole():
    image = np.random.RandomState(0).randint(0, 256, (512, 512, 3)).astype("uint8")
    image = ndimage.gaussian_filter(image, (2, 2, 0))
    assert len(data.tiles(data.from_arrays(image[None]), 64)) == 64


def test_missing_pixels_are_background_and_become_the_median(tmp_path):
    image = ndimage.gaussian_filter(np.random.RandomState(0).randn(256, 256), 2).astype("float32")
    image[:128] = np.nan
    image[128, :10] = np.nan
    tifffile.imwrite(tmp_path / "scene.tif", image, tile=(64, 64))
    source = data.from_folder(tmp_path, channels=1, dtype="float32")
    found = data.tiles(source, 64)
    assert len(found) == 8
    tile = found[0][..., 0]
    assert np.isfinite(tile).all()
    np.testing.assert_array_equal(tile[0, :10], np.nanmedian(image[128:192, :64]))


def test_the_share_of_foreground_of_a_tile_is_that_of_its_blocks():
    is_foreground = np.zeros((8, 8), bool)
    is_foreground[:4, :2] = True
    boxes = np.array([[0, 0, 0, 40, 40, 0], [0, 10, 0, 40, 40, 0], [0, 5, 35, 10, 10, 0]])
    shares = foreground._mean_in_boxes(is_foreground, (80, 80), boxes)
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.5])


def test_otsu_divides_two_modes_and_sees_that_one_is_one():
    two = np.concatenate([np.full(300, 1.0), np.full(700, 3.0)])
    threshold, separation = foreground.otsu_threshold(two)
    assert 1 < threshold < 3
    assert separation == pytest.approx(1, abs=0.02)
    one = np.random.RandomState(0).randn(100_000)
    assert foreground.otsu_threshold(one)[1] == pytest.approx(2 / np.pi, abs=0.01)


def test_the_foreground_is_read_from_the_cache(tmp_path, monkeypatch):
    image, _ = make_slide()
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "slide.tif", image, photometric="rgb")
    find = lambda: data.tiles(data.from_folder(tmp_path / "images"), 64, cache=tmp_path / "cache")  # noqa: E731
    first = find()
    monkeypatch.setattr(foreground, "find_foreground", lambda *_: pytest.fail("measured again"))
    assert list(find().names) == list(first.names)
    tifffile.imwrite(tmp_path / "images" / "slide.tif", image[::-1], photometric="rgb")
    with pytest.raises(pytest.fail.Exception, match="measured again"):
        find()


def test_a_tile_is_shifted_by_at_most_half_a_stride_within_the_image():
    image = np.arange(100 * 100).reshape(100, 100).astype("int32")
    found = data.tiles(data.from_arrays(image[None], channels=None), 20, stride=10, keep=0)
    row = list(found.names).index("row 0[40,30,20,20]")
    places = set()
    for down in np.linspace(0, 0.999, 12):
        for right in np.linspace(0, 0.999, 12):
            tile, read = found.read_one(row, (down, right))
            top, left = divmod(int(tile[0, 0, 0]), 100)
            np.testing.assert_array_equal(tile[..., 0], image[top : top + 20, left : left + 20])
            places.add((top, left))
            assert read == row
    assert {top for top, _ in places} == set(range(25, 36))
    assert {left for _, left in places} == set(range(35, 46))
    assert found.read_one(0, (0.0, 0.0))[0][0, 0, 0] == 0  # at the corner


def first_views(source, seed, **options):
    view = augmentation.evaluation(20, augmentation.IMAGENET)
    batches = data.two_view_dataset(source, view, view, 8, seed=seed, with_index=True, **options)
    return [{name: x.numpy() for name, x in batch.items()} for batch in batches]


def test_shifts_depend_on_seed_epoch_and_row_alone():
    source = data.tiles(data.from_arrays(SCENE[None]), 20, keep=0)
    first = first_views(source, 1, initial_epoch=3)
    again = first_views(source, 1, initial_epoch=3, num_parallel_calls=1)
    resumed = first_views(source, 1, initial_epoch=3, initial_step=2)
    for one, other in zip(first, again):
        np.testing.assert_array_equal(one["query"], other["query"])
    for one, other in zip(first[2:], resumed):
        np.testing.assert_array_equal(one["query"], other["query"])
    whole = {int(i): v for b in first for i, v in zip(b["index"], b["query"])}
    later = {
        int(i): v
        for b in first_views(source, 1, initial_epoch=4)
        for i, v in zip(b["index"], b["query"])
    }
    different = [not np.array_equal(whole[i], later[i]) for i in set(whole) & set(later)]
    assert np.mean(different) > 0.9


def test_without_tensorflow_shifts_are_reproducible_too():
    source = data.tiles(data.from_arrays(SCENE[None]), 20, keep=0)
    make = lambda **options: data.ImageBatches(source, 20, 8, seed=5, **options)  # noqa: E731
    np.testing.assert_array_equal(make(initial_epoch=2)[1], make(initial_epoch=2)[1])
    assert not np.array_equal(
        np.sort(make()[0], axis=None), np.sort(make(initial_epoch=1)[0], axis=None)
    )
    in_order = make(shuffle=False)
    np.testing.assert_array_equal(in_order[0], np.stack([source[row] for row in range(8)]))


def test_each_large_image_is_decoded_once_by_many_threads():
    large = data.from_arrays(np.stack([SCENE, SCENE]))
    images = tiles.LargeImages(large)
    calls, read = [], large.read_exactly
    large.read_exactly = lambda row: calls.append(row) or read(row)
    threads = [threading.Thread(target=images.open, args=(n % 2,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(calls) == [0, 1]


def test_open_images_take_bounded_memory():
    large = data.from_arrays(np.stack([SCENE] * 5))
    images = tiles.LargeImages(large, max_bytes=2 * SCENE.nbytes)
    for row in (0, 1, 2, 3, 1, 4):
        images.open(row)
    assert images._recent.keys() == [1, 4]


def test_images_that_are_too_small_or_unreadable_are_named(tmp_path, caplog):
    Image.fromarray(SCENE).save(tmp_path / "a.png")
    Image.fromarray(SCENE[:20]).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no image")
    with caplog.at_level("WARNING"):
        found = data.tiles(data.from_folder(tmp_path), 50, keep=0)
    assert len(found) == 12
    assert "2 images have no tiles" in caplog.text
    assert "20 x 200 pixels, less than a tile of 50" in caplog.text
    with pytest.raises(ValueError, match=r"at least 50 pixels.*Received:.*b\.png"):
        data.tiles(data.from_folder(tmp_path, on_error="raise"), 50, keep=0)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"size": 0}, "`size`"),
        ({"size": 8, "stride": 0}, "`stride`"),
        ({"size": 8, "keep": 1.5}, r"`keep` must be in \[0, 1\]"),
        ({"size": 8, "level": -1}, "`level`"),
        ({"size": 8, "level": 2}, "level 2. Received: row 0: it has 1 levels"),
        ({"size": 500}, "at least 500 pixels a side"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        data.tiles(data.from_arrays(SCENE[None]), **arguments)


def test_images_without_foreground_give_an_error():
    flat = np.full((1, 64, 64, 3), 9, "uint8")
    with pytest.raises(ValueError, match=r"`keep` must leave a tile\. .*keep=0\.25, and 16"):
        data.tiles(data.from_arrays(flat), 16)


@pytest.mark.slow
def test_a_pyramid_of_a_hundred_thousand_pixels_is_tiled_in_bounded_memory(tmp_path):
    tile = np.kron(RANDOM.randint(0, 256, (128, 128, 3)), np.ones((4, 4, 1))).astype("uint8")
    encoded = zlib.compress(tile.tobytes())
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        # Tiles without contents take no place in the file; tissue is in the uppermost 8,192 pixels.
        for side, rows, kind in ((100_000, 16, {"subifds": 1}), (12_500, 2, {"subfiletype": 1})):
            across = math.ceil(side / 512)
            contents = itertools.chain([encoded] * rows * across, [b""] * (across - rows) * across)
            options = {"tile": (512, 512), "compression": "zlib", "photometric": "rgb", **kind}
            file.write(contents, shape=(side, side, 3), dtype="uint8", metadata=None, **options)
    program = (
        "import resource, sys\n"
        "from keras_isd import data\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "found = data.tiles(data.from_paths([sys.argv[1]]), 256)\n"
        "part = found[len(found) // 2]\n"
        "taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "print(len(found), part.std() > 50, taken)\n"
    )
    result = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    count, has_texture, kilobytes = result.stdout.split()
    assert (int(count), has_texture) == (391 * 32, "True")
    assert int(kilobytes) < 2**20  # 1 GiB, in addition to that of Python
