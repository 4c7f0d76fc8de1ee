"""Images as arguments: folders that are groups and not classes, and one channel of 16 bits."""

import types

import numpy as np
import pytest
from PIL import Image

from keras_isd.command.images import read_images, read_labelled

pytestmark = pytest.mark.one_backend("files are read without a backend")
DEFAULTS = {
    "labels": "auto", "channels": None, "follow_links": False, "group": None, "data_dir": None,
}  # fmt: skip


def arguments(**given):
    return types.SimpleNamespace(**(DEFAULTS | given))


def make(folder, names, mode="L"):
    for name in names:
        (folder / name).mkdir()
        for number in range(3):
            pixels = np.random.RandomState(number).randint(0, 4000, (8, 9))
            Image.fromarray(pixels.astype("uint16" if mode == "I;16" else "uint8")).save(
                folder / name / f"{number}.png"
            )
    return str(folder)


@pytest.mark.parametrize("names", [["plate1", "plate2"], ["day_03", "day_10"], ["P1", "patient 2"]])
def test_folders_named_like_plates_or_days_are_groups(tmp_path, names, capsys):
    place = make(tmp_path, names)
    found = read_images(place, arguments())
    is_group = names[0] != "P1"
    assert (found.group_names, found.class_names) == (
        (sorted(names), None) if is_group else (None, sorted(names))
    )
    assert ("--labels=folder" in capsys.readouterr().out) == is_group
    asked = read_images(place, arguments(labels="folder"))
    assert (asked.class_names, asked.groups) == (sorted(names), None)
    assert read_labelled(place, arguments()).class_names == sorted(names)


def test_classes_with_numbers_alone_stay_classes(tmp_path):
    assert read_images(make(tmp_path, ["0", "1"]), arguments()).class_names == ["0", "1"]


def test_a_group_that_is_asked_for_is_kept_next_to_classes(tmp_path):
    place = make(tmp_path, ["cat", "dog"])
    found = read_images(place, arguments(group=0, images=place))
    assert found.class_names == found.group_names == ["cat", "dog"]


@pytest.mark.parametrize(("mode", "channels"), [("L", 3), ("I;16", 1)])
def test_grey_images_of_sixteen_bits_keep_their_channel(tmp_path, mode, channels):
    place = make(tmp_path, ["cat", "dog"], mode)
    assert read_images(place, arguments()).channels == channels
    assert read_images(place, arguments(channels=3)).channels == 3


def test_a_run_determines_the_channels(tmp_path):
    images, run = tmp_path / "images", tmp_path / "run"
    images.mkdir()
    run.mkdir()
    (run / "view.json").write_text('{"size": 8, "mean": [0.1, 0.1, 0.1], "std": [1, 1, 1]}')
    place = make(images, ["cat", "dog"], "I;16")
    assert read_images(place, arguments(model=str(run))).channels == 3
    assert read_images(place, arguments(output=str(run))).channels == 3
