"""Places that subcommands read images from: each kind, its names, and errors."""

import types

import numpy as np
import pytest
import tifffile
from PIL import Image

from keras_isd import data, evaluation
from keras_isd.command.images import read_images
from keras_isd.command.main import main
from keras_isd.command.places import parse_dataset
from tests.command.images_test import DEFAULTS
from tests.support.sources import encode

pytestmark = pytest.mark.one_backend("reads files with NumPy")
IMAGES = np.random.RandomState(0).randint(0, 256, (6, 20, 24, 3)).astype("uint8")
LABELS = ["cat", "dog", "cat", "cow", "dog", "cow"]


def read(place, **options):
    def fail(message):
        raise ValueError(message)

    arguments = {"images": str(place), "fail": fail, **DEFAULTS, **options}
    return read_images(str(place), types.SimpleNamespace(**arguments))


def check(source, names=None, labels=LABELS):
    np.testing.assert_array_equal(np.stack([*source]), IMAGES)
    if labels is not None:
        assert [source.class_names[label] for label in source.labels] == labels
    if names is not None:
        assert [name.split("/")[-1] for name in source.names] == names


def test_a_data_set_of_hugging_face_is_read_from_its_folder(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra [huggingface]")
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=sorted(set(LABELS)))}
    table = {"image": [*map(Image.fromarray, IMAGES)], "label": LABELS}
    datasets.Dataset.from_dict(table, datasets.Features(features)).save_to_disk(tmp_path / "pets")
    check(read(f"hf:{tmp_path}/pets"))
    assert read(f"hf:{tmp_path}/pets", labels="none").labels is None


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("hf:beans", ("beans", "train")),
        ("hf:beans/test", ("beans", "test")),
        ("hf:owner/beans", ("owner/beans", "train")),
        ("hf:owner/beans/train[:10]", ("owner/beans", "train[:10]")),
    ],
)
def test_names_of_data_sets_may_have_an_owner_and_a_split(place, expected):
    assert parse_dataset(place) == expected


def test_shards_are_read_and_their_names_are_found_again(tmp_path):
    import io
    import tarfile

    for shard in range(2):
        with tarfile.open(tmp_path / f"train-{shard}.tar", "w") as tar:
            for number in range(3 * shard, 3 * shard + 3):
                members = {"png": encode(IMAGES[number]), "cls": LABELS[number].encode()}
                for ending, contents in members.items():
                    member = tarfile.TarInfo(f"{number:03}.{ending}")
                    member.size = len(contents)
                    tar.addfile(member, io.BytesIO(contents))
    source = read(tmp_path / "train-{0..1}.tar")
    check(source, [f"{number:03}.png" for number in range(6)])
    check(read(tmp_path / "train-*.tar"))
    np.testing.assert_array_equal(data.from_paths(source.names[3:5])[1], IMAGES[4])


def test_a_table_of_images_is_no_table_of_features(tmp_path, capsys):
    pa = pytest.importorskip("pyarrow", reason="the extra [parquet]")
    import pyarrow.parquet as pq

    table = {"image": [encode(image) for image in IMAGES], "label": LABELS}
    pq.write_table(pa.table(table), tmp_path / "pets.parquet")
    check(read(tmp_path / "pets.parquet"))
    features = evaluation.Features(np.eye(6, dtype="float32"), None, np.arange(6), list("abcdef"))
    evaluation.save_features(tmp_path / "features.parquet", features)
    with pytest.raises(ValueError, match="column of image files"):
        read(tmp_path / "features.parquet")
    output = tmp_path / "near.csv"
    assert not main(["neighbors", f"{tmp_path}/features.parquet", f"--output={output}", "--k=2"])
    assert "written to" in capsys.readouterr().out


def test_arrays_in_files_are_read(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra [hdf5]")
    zarr = pytest.importorskip("zarr", reason="the extra [zarr]")
    with h5py.File(tmp_path / "pets.h5", "w") as file:
        file["images"], file["labels"] = IMAGES, LABELS
    zarr.create_group(tmp_path / "pets.zarr").create_array("images", data=IMAGES)
    check(read(tmp_path / "pets.h5"), [f"pets.h5[{row}]" for row in range(6)])
    check(read(tmp_path / "pets.zarr"), labels=None)


def test_frames_of_videos_are_embedded_and_found_again(tmp_path, capsys):
    av = pytest.importorskip("av", reason="the extra [video]")
    from keras_isd.backbones import ConvNet

    (tmp_path / "films").mkdir()
    with av.open(tmp_path / "films" / "a.mp4", "w") as movie:
        stream = movie.add_stream("mpeg4", rate=4, width=32, height=32)
        for number in range(24):
            pixels = np.full((32, 32, 3), 10 * number, "uint8")
            movie.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        movie.mux(stream.encode())
    ConvNet((16, 16, 3), (4, 8)).save(tmp_path / "model.keras")
    table = tmp_path / "frames.npz"
    options = [f"--model={tmp_path}/model.keras", "--size=16", f"--output={table}"]
    assert not main(["embed", f"{tmp_path}/films", "--every=2", *options])
    assert "3 frames, every 2 s, in 1 videos" in capsys.readouterr().out
    names = evaluation.load_features(table).names
    assert [name.split("/")[-1] for name in names] == [
        "a.mp4[t=0.0]",
        "a.mp4[t=2.0]",
        "a.mp4[t=4.0]",
    ]
    again = data.from_paths(names)
    assert abs(int(again[1].mean()) - 80) < 4
    assert main(["embed", f"{tmp_path}", "--every=2", *options]) in (None, 0)  # at any depth
    with pytest.raises(ValueError, match="--every needs videos"):
        read(tmp_path / "model.npz", every=1.0)


def test_a_single_slide_is_a_place(tmp_path):
    pixels = np.tile(IMAGES[0], (4, 4, 1))
    tifffile.imwrite(tmp_path / "slide.tif", pixels, photometric="rgb", tile=(16, 16))
    assert len(read(tmp_path / "slide.tif", tile=32, keep=0)) == 9
    np.testing.assert_array_equal(read(tmp_path / "slide.tif")[0], pixels)


def test_an_array_file_is_a_stack_if_it_is_cut(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra [hdf5]")
    stack = np.arange(2 * 3 * 20 * 24).reshape(2, 3, 20, 24).astype("uint16")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = stack
    source = read(tmp_path / "a.h5", each="T", axes="TCYX")
    np.testing.assert_array_equal(source[1], stack[1].transpose(1, 2, 0))


def test_other_files_are_no_places(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(ValueError, match=r"folder.*notes\.txt"):
        read(tmp_path / "notes.txt")
