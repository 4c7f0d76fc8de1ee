"""Images as arguments: folders that are groups and not classes, and one channel of 16 bits."""

import json
import types

import numpy as np
import pytest
import tifffile
from PIL import Image

from keras_isd.command import train
from keras_isd.command.images import read_images, read_labelled, remembered_reading
from keras_isd.command.values import comma_list

pytestmark = pytest.mark.one_backend("files are read without a backend")
DEFAULTS = {
    "labels": "auto", "channels": None, "follow_links": False, "group": None, "data_dir": None,
    "dtype": None, "raw": None, "axes": None,
    "tile": None, "stride": None, "keep": None, "level": None,
    "each": None, "project": None, "adjacent": None, "every": None,
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


def save_tiff(path, image):
    tifffile = pytest.importorskip("tifffile")
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, image.astype("uint16"), photometric="rgb")


def test_colours_of_sixteen_bits_stay_colours_though_an_image_is_black(tmp_path):
    for number in range(4):
        image = np.random.RandomState(number).randint(0, 4000, (8, 9, 3)) * (number > 0)
        save_tiff(tmp_path / "cat" / f"{number}.tif", image)
    found = read_images(str(tmp_path), arguments())
    assert (found.channels, found.dtype, found.read_one(2)[1]) == (3, "uint16", 2)


@pytest.mark.parametrize("network", [{"teacher": "EfficientNetV2B0"}, {"model": "other.keras"}])
def test_networks_that_others_trained_get_three_channels(tmp_path, network):
    place = make(tmp_path, ["cat", "dog"], "I;16")
    assert read_images(place, arguments(**network)).channels == 3


def test_only_the_images_that_are_split_need_the_group(tmp_path):
    place = make(tmp_path, ["cat", "dog"])
    others = tmp_path / "cat"
    given = arguments(group="plate*", images=place)
    assert read_images(str(others), given).groups is None
    with pytest.raises(ValueError, match="`group`"):
        read_images(place, given)


def test_a_run_from_before_domains_keeps_its_views(tmp_path):
    chosen = {"domain": None, "normalize": None}
    assert train._settings_of_old_run(tmp_path, chosen) == {}
    (tmp_path / "run.json").write_text('{"settings": {"method": "isd"}}')
    assert train._settings_of_old_run(tmp_path, chosen) == {"domain": "photo", "normalize": "none"}
    chosen["domain"] = "satellite"
    assert train._settings_of_old_run(tmp_path, chosen) == {"normalize": "none"}
    (tmp_path / "run.json").write_text('{"settings": {"domain": "microscopy"}}')
    assert train._settings_of_old_run(tmp_path, {"domain": None, "normalize": None}) == {
        "normalize": "none"
    }


def test_tables_of_tiles_or_slices_are_not_cut_again(tmp_path):
    Image.fromarray(np.zeros((40, 40), "uint8")).save(tmp_path / "a.png")
    stack = np.zeros((3, 9, 9), "uint16")
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "TYX"})
    for name, option, side in (
        ("a.png[0,0,20,20]", {"tile": 10}, 20),
        ("a.ome.tif[T=1]", {"each": "T"}, 9),
    ):
        run = tmp_path / f"run{side}"
        run.mkdir()
        (run / "run.json").write_text(json.dumps({"reading": option}))
        table = tmp_path / "table.csv"
        table.write_text(f'path,label\n"{name}",x\n')
        found = read_images(str(table), arguments(model=str(run), labels="auto"))
        assert [str(n).split("/")[-1] for n in found.names] == [name]
        assert found[0].shape[:2] == (side, side)


def test_a_run_reads_images_as_the_one_that_it_starts_from(tmp_path):
    Image.fromarray(np.zeros((40, 40), "uint8")).save(tmp_path / "a.png")
    run = tmp_path / "run"
    run.mkdir()
    reading = {"tile": 20, "keep": 0}
    (run / "run.json").write_text(json.dumps({"reading": reading}))
    given = arguments(start=str(run), output=str(tmp_path / "new"))
    assert len(read_images(str(tmp_path), given)) == 4
    assert remembered_reading(given) == reading


def test_commas_in_names_of_tiles_do_not_separate():
    assert comma_list("a.jpg,s.tif[0,64,32,32],b.jpg") == ["a.jpg", "s.tif[0,64,32,32]", "b.jpg"]
