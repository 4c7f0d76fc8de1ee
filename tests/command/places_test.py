"""Places as arguments: shards, tables, arrays, data sets and videos, and what a run remembers."""

import json

import numpy as np
import pytest
import tifffile

import keras_isd
from keras_isd import data
from keras_isd.command.images import read_images
from keras_isd.command.outliers import _holds_images
from keras_isd.command.places import parse_dataset
from keras_isd.data.fingerprint import containing_file
from tests.command.command_test import command, read
from tests.command.images_test import arguments
from tests.data.sources import video_test
from tests.data.sources.webdataset_test import FILES, IMAGES, write

pytestmark = pytest.mark.one_backend("files are read without a backend")

h5py = pytest.importorskip("h5py", reason="h5py writes HDF5")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes Parquet")
datasets = pytest.importorskip("datasets", reason="datasets writes data sets")
zarr = pytest.importorskip("zarr", reason="zarr writes Zarr stores")
LABELS = [0, 1, 2, 0, 1, 2, 0]
PLATES = list("ppqqqqr")


def write_place(folder, kind):
    """Writes seven images with labels and plates; returns the place."""
    if kind == "tar":
        for number in range(7):
            about = json.dumps({"plate": PLATES[number]}).encode()
            members = {"png": FILES[number], "cls": str(LABELS[number]).encode(), "json": about}
            members = [(f"{number}.{ending}", contents) for ending, contents in members.items()]
            write(folder / f"{number}.tar", members)
        return f"{folder}/{{0..6}}.tar"
    table = {"image": FILES, "label": LABELS, "plate": PLATES}
    if kind == "parquet":
        import pyarrow as pa

        pq.write_table(pa.table(table), folder / "a.parquet")
        return f"{folder}/*.parquet"
    if kind == "hf":
        features = {"image": datasets.Image(), "label": datasets.Value("int64")}
        features["plate"] = datasets.Value("string")
        images = [{"bytes": file, "path": None} for file in FILES]
        dataset = datasets.Dataset.from_dict(table | {"image": images}, datasets.Features(features))
        dataset.save_to_disk(folder / "saved")
        return f"hf:{folder}/saved"
    plates = [ord(plate) - ord("p") for plate in PLATES]
    if kind == "h5":
        with h5py.File(folder / "a.h5", "w") as file:
            file["images"], file["labels"], file["plate"] = IMAGES, LABELS, plates
        return f"{folder}/a.h5"
    group = zarr.open_group(folder / "a.zarr", mode="w")
    for name, array in {"images": IMAGES, "labels": LABELS, "plate": plates}.items():
        group.create_array(name, data=np.asarray(array))
    return f"{folder}/a.zarr"


@pytest.mark.parametrize("kind", ["tar", "parquet", "hf", "h5", "zarr"])
def test_each_place_has_its_images_labels_and_groups(kind, tmp_path, capsys):
    place = write_place(tmp_path, kind)
    source = read_images(place, arguments())
    np.testing.assert_array_equal(list(source), IMAGES)
    assert source.labels.tolist() == LABELS
    assert len(set(source.names)) == 7
    assert read_images(place, arguments(labels="none")).labels is None
    grouped = read_images(place, arguments(group="plate", images=place))
    assert grouped.groups.tolist() == [0, 0, 1, 1, 1, 1, 2]
    # A run remembers the column of the groups.
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text('{"reading": {"group": "plate"}}')
    again = read_images(place, arguments(model=str(tmp_path / "run")))
    assert again.groups.tolist() == grouped.groups.tolist()
    (tmp_path / "run/run.json").write_text('{"reading": {"group": "day"}}')
    assert read_images(place, arguments(model=str(tmp_path / "run"))).groups is None
    assert "The run's --group=day does not fit" in capsys.readouterr().out


def test_frames_of_videos_are_read_at_the_distance_that_a_run_remembers(tmp_path, capsys):
    folder, run, photos = (tmp_path / name for name in ("films", "run", "photos"))
    for place in (folder, run, photos):
        place.mkdir()
    path = video_test.write(folder / "a.mp4", count=26, rate=10)
    (photos / "a.png").write_bytes(FILES[0])
    assert len(read_images(str(path), arguments())) == 3
    assert len(read_images(str(folder), arguments(every=0.5))) == 6
    assert "6 frames, every 0.5 s, in 1 videos" in capsys.readouterr().out
    (run / "run.json").write_text('{"reading": {"every": "frame"}}')
    assert len(read_images(str(path), arguments(model=str(run)))) == 26
    assert len(read_images(str(folder), arguments(model=str(run)))) == 26
    assert len(read_images(str(photos), arguments(model=str(run)))) == 1

    def fail(message):
        raise ValueError(message)

    with pytest.raises(ValueError, match=r"--every needs videos\. Received: .*photos"):
        read_images(str(photos), arguments(every=2.0, fail=fail))


def test_a_table_of_features_is_no_place_of_images(tmp_path):
    found = keras_isd.evaluation.Features(np.eye(2), None, np.arange(2), list("ab"))
    keras_isd.evaluation.save_features(tmp_path / "f.parquet", found)
    with pytest.raises(ValueError, match=r"must have a column of image files.*f\.parquet"):
        read_images(str(tmp_path / "f.parquet"), arguments())
    images = write_place(tmp_path, "tar")
    (tmp_path / "images").mkdir()
    tables = write_place(tmp_path / "images", "parquet")
    held = [_holds_images(place) for place in (images, tables, str(tmp_path / "*.parquet"))]
    assert held == [True, True, False]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("hf:someone/birds", ("someone/birds", "train")),
        ("hf:someone/birds/test", ("someone/birds", "test")),
        ("hf:beans/validation", ("beans", "validation")),
        ("hf:beans/train[:10%]", ("beans", "train[:10%]")),
        ("hf:beans", ("beans", "train")),
    ],
)
def test_names_of_data_sets_end_in_a_split(place, expected):
    assert parse_dataset(place) == expected


def test_folders_of_data_sets_may_end_in_a_split(tmp_path):
    assert parse_dataset(f"hf:{tmp_path}") == (str(tmp_path), None)
    assert parse_dataset(f"hf:{tmp_path}/train") == (str(tmp_path), "train")


def test_the_file_of_a_part_is_found(tmp_path):
    file, shard = tmp_path / "a.mp4", tmp_path / "b.tar"
    file.touch()
    shard.touch()
    for part in ("", "[t=1.5]", "[t=1.5][0,0,8,8]", "[3]", "[0,0,8,8@1]", "[T=3]"):
        assert containing_file(f"{file}{part}") == str(file)
    assert containing_file(f"{shard}/x/1.png") == str(shard)
    assert containing_file(f"{shard}/x/1.png[0,0,8,8]") == str(shard)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["video", "tar", "h5"])
def test_images_become_features_and_a_page(kind, tmp_path):
    if kind == "video":
        place = tmp_path / "films"
        place.mkdir()
        for name in "ab":
            video_test.write(place / f"{name}.mp4", count=30)
        options = ["--every=0.04"]
    else:
        place = write_place(tmp_path, kind)
        copies = np.concatenate([IMAGES] * 4)
        if kind == "tar":
            place = tmp_path / "big.tar"
            write(place, [(f"{number}.png", FILES[number % 7]) for number in range(28)])
        else:
            place = tmp_path / "big.h5"
            with h5py.File(place, "w") as file:
                file["images"] = copies
        options = []
    run, table = tmp_path / "run", tmp_path / "f.parquet"
    small = ["--size=8", "--epochs=1", "--batch_size=14"]
    status, printed = command("train", place, f"--output={run}", *options, *small)
    assert status == 0, printed
    status, printed = command("embed", place, f"--model={run}", f"--output={table}")
    assert status == 0, printed
    status, printed = command("embed", place, f"--model={run}", f"--output={table}", "--update")
    assert (status, "0 images are new or changed" in printed) == (0, True)
    status, printed = command("explore", table, "--method=pca", f"--output={tmp_path}/page.html")
    if kind == "h5":
        assert (status, "a row of a data set" in printed) == (1, True)
        return
    assert status == 0, printed
    selected = tmp_path / "selected.csv"
    assert command("select", table, "--count=6", f"--output={selected}")[0] == 0
    assert selected.with_suffix(".jpg").exists()
    names = [line["name"] for line in read(selected)]
    np.testing.assert_array_equal(
        data.from_csv(selected, path="name", label=None)[2], data.from_paths(names)[2]
    )


def test_a_single_slide_is_a_place(tmp_path):
    pixels = np.tile(IMAGES[0], (4, 4, 1))
    tifffile.imwrite(tmp_path / "slide.tif", pixels, photometric="rgb", tile=(16, 16))
    place = str(tmp_path / "slide.tif")
    np.testing.assert_array_equal(read_images(place, arguments())[0], pixels)
    height, width = pixels.shape[:2]
    found = read_images(place, arguments(tile=16, keep=0))
    assert len(found) == -(-height // 16) * -(-width // 16)


def test_an_array_file_is_a_stack_if_it_is_cut(tmp_path):
    stack = np.arange(2 * 3 * 20 * 24).reshape(2, 3, 20, 24).astype("uint16")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = stack
    source = read_images(str(tmp_path / "a.h5"), arguments(each="T", axes="TCYX"))
    np.testing.assert_array_equal(source[1], stack[1].transpose(1, 2, 0))


def test_other_files_are_no_places(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(ValueError, match=r"folder.*notes\.txt"):
        read_images(str(tmp_path / "notes.txt"), arguments())
