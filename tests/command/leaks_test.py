"""`keras-isd leaks`: copies across a split or between groups, verified on the pixels."""

import contextlib
import csv
import io

import numpy as np
import pytest
from PIL import Image

import keras_isd
from keras_isd.command import leaks as leaks_command
from keras_isd.command.main import main

pytestmark = pytest.mark.one_backend("NumPy, SciPy and Pillow compare the images")


def photograph(seed):
    """Smooth shapes and some noise."""
    random = np.random.RandomState(seed)
    y, x = np.mgrid[:96, :96] / 96
    waves = sum(np.sin(a * x + b * y + c) for a, b, c in random.uniform(-25, 25, (5, 3)))
    image = 128 + 22 * waves[..., None] * random.uniform(0.5, 1, 3) + 6 * random.randn(96, 96, 3)
    return np.clip(image, 0, 255).astype("uint8")


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Patients of five images each; patient 2 has a flipped image of patient 1."""
    for number in range(15):
        save(photograph(number), tmp_path / f"patient{number // 5}" / f"{number:02}.png")
    save(photograph(3)[:, ::-1], tmp_path / "patient2" / "again.jpg", quality=80)
    save(photograph(6), tmp_path / "patient1" / "same.png")  # a copy within a group is no leak
    return tmp_path


def leaks(*line):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        status = main(["leaks", *map(str, line), "--no-picture"])
    return status, printed.getvalue()


def test_a_copy_in_another_group_leaks(folder, tmp_path):
    output = tmp_path / "leaks.csv"
    status, printed = leaks(folder, "--group=patient*", f"--output={output}")
    assert status == 0, printed
    assert "1 groups of copies on several sides, 2 of 17 images" in printed
    assert "patient0: 1 of 5 images" in printed
    assert "patient1: 0 of 6 images" in printed
    with open(output) as file:
        lines = list(csv.DictReader(file))
    assert {(line["name"].rsplit("/", 1)[1], line["side"]) for line in lines} == {
        ("03.png", "patient0"),
        ("again.jpg", "patient2"),
    }
    assert "flipped" in lines[1]["difference"]


def test_a_test_image_among_the_training_images_leaks(folder, tmp_path):
    train, test = (folder / f"patient{number}" for number in (0, 2))
    status, printed = leaks(train, f"--test={test}", f"--output={tmp_path / 'leaks.csv'}")
    assert status == 0, printed
    assert "train: 1 of 5 images" in printed
    assert "test: 1 of 6 images" in printed
    other = folder / "patient1"
    _, printed = leaks(train, f"--test={other}", f"--output={tmp_path / 'none.csv'}")
    assert printed.startswith("0 groups of copies")


def test_a_copy_of_a_copy_leaks_though_it_is_in_no_group_of_its_own():
    same = keras_isd.exploration.copies.SAME
    pairs = [(0, 1, same), (0, 2, same), (0, 4, same), (1, 3, same), (6, 7, same)]
    assert leaks_command._connected(pairs, 9) == [[0, 1, 2, 3, 4], [6, 7]]
    assert leaks_command._connected([], 3) == []


def test_one_side_is_an_error(folder, capsys):
    assert leaks(folder / "patient0")[0] == 2
    assert "--test or --group" in capsys.readouterr().err
