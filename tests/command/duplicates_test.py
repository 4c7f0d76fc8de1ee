"""`keras-isd duplicates`: nothing is suggested for deletion that was not verified on the pixels."""

import contextlib
import csv
import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter1d

import keras_isd
from keras_isd.command.main import main

pytestmark = pytest.mark.one_backend("NumPy, SciPy and Pillow compare the images")


def draw_texture(seed):
    image = gaussian_filter1d(np.random.RandomState(seed).randn(120, 120, 1), 4, axis=1)
    return np.clip(130 + 12 * image / image.std() * np.ones(3), 0, 255).astype("uint8")


@pytest.fixture
def folder(tmp_path):
    """Ten alike textures and a compressed, a brighter and a flipped copy of three of them."""
    images = [draw_texture(seed) for seed in range(10)]
    images += [images[2], np.clip(images[4] * 1.1, 0, 255).astype("uint8"), images[6][:, ::-1]]
    for number, image in enumerate(images):
        quality = 50 if number == 10 else 92
        Image.fromarray(image).save(tmp_path / f"{number:02}.jpg", quality=quality)
    return tmp_path


def find_duplicates(names, tmp_path, *options):
    """Lines of the table and the printed text, for features that find all images alike."""
    features = 1 + 0.01 * np.random.RandomState(0).randn(len(names), 8)
    table, output = tmp_path / "features.npz", tmp_path / "found.csv"
    values = keras_isd.evaluation.Features(features, None, np.arange(len(names)), names)
    keras_isd.evaluation.save_features(table, values)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["duplicates", str(table), f"--output={output}", *options]) == 0
    with open(output, newline="") as file:
        return list(csv.DictReader(file)), printed.getvalue()


def paths(folder):
    return sorted(map(str, folder.glob("*.jpg")))


def test_each_copy_is_verified_and_one_image_of_each_group_is_kept(folder):
    lines, printed = find_duplicates(paths(folder), folder)
    assert "3 groups, 3 of 13 images are copies" in printed
    groups = {}
    for line in lines:
        groups.setdefault(line["group"], []).append(line)
    assert len(groups) == 3
    for group in groups.values():
        assert [line["keep"] for line in group] == ["yes", "no"]
        assert group[0]["difference"] == "same pixels"
        assert float(group[1]["confidence"]) > 0.6
    found = {frozenset(int(line["name"][-6:-4]) for line in group) for group in groups.values()}
    assert found == {frozenset({2, 10}), frozenset({4, 11}), frozenset({6, 12})}
    kept = {line["name"][-6:-4] for line in lines if line["keep"] == "yes"}
    assert "10" not in kept  # the larger file is kept
    assert (folder / "found.jpg").stat().st_size > 1000


def test_without_verification_nothing_is_suggested_for_deletion(folder):
    lines, printed = find_duplicates(paths(folder), folder, "--no-verify", "--similarity=0.9")
    assert len(lines) == 13
    assert {(line["keep"], line["confidence"]) for line in lines} == {("", "")}
    assert "not verified" in printed
    assert "implausible" in printed


def test_without_files_nothing_is_suggested_for_deletion(tmp_path):
    names = [f"{number}.jpg" for number in range(6)]
    lines, printed = find_duplicates(names, tmp_path, "--similarity=0.9")
    assert "None of the files can be read" in printed
    assert {line["keep"] for line in lines} == {""}


def test_images_without_files_are_left_out_and_counted(folder):
    names = [*paths(folder), str(folder / "gone.jpg"), str(folder / "broken.jpg")]
    (folder / "broken.jpg").write_bytes(b"no image")
    lines, printed = find_duplicates(names, folder)
    assert "2 files cannot be read" in printed
    assert len(lines) == 6
    assert {line["name"] for line in lines} <= {*paths(folder)}


def test_an_implausible_share_of_copies_is_not_suggested_for_deletion(tmp_path):
    for number in range(6):
        image = Image.fromarray(draw_texture(number // 3))
        image.save(tmp_path / f"{number}.jpg", quality=90 - number)
    lines, printed = find_duplicates(paths(tmp_path), tmp_path)
    assert len(lines) == 6
    assert {line["keep"] for line in lines} == {""}
    assert "4 of 6 images would be changed copies of others, which is implausible" in printed
