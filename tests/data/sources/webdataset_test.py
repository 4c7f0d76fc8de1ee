"""Shards of WebDataset: images, labels, names, the index in a file, damaged shards and errors."""

import io
import json
import os
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_isd import data
from keras_isd.data.sources import webdataset
from keras_isd.data.sources.patterns import expand_braces
from tests.support.sources import check_reading, encode

pytestmark = [
    pytest.mark.one_backend("reads files with NumPy"),
    pytest.mark.filterwarnings("ignore:.*fork"),
]

IMAGES = np.random.RandomState(0).randint(0, 256, (7, 8, 9, 3)).astype("uint8")
FILES = [encode(image) for image in IMAGES]


def write(path, members, **options):
    """Writes a shard of (name, contents) pairs."""
    with tarfile.open(path, "w", **options) as tar:
        for name, contents in members:
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))


@pytest.fixture
def shards(tmp_path):
    """Three shards of seven samples, each with an image, a label and a text."""
    for shard, rows in enumerate([(0, 1, 2), (3, 4), (5, 6)]):
        members = []
        for row in rows:
            about = json.dumps({"kind": ["cat", "dog"][row % 2], "plate": f"p{row // 4}"})
            members += [(f"{row:03}.png", FILES[row]), (f"{row:03}.cls", str(row % 3).encode())]
            members += [(f"{row:03}.json", about.encode())]
        write(tmp_path / f"train-{shard:03}.tar", members)
    return tmp_path


def test_samples_are_read_by_row_with_labels_names_and_groups(shards):
    source = data.from_webdataset(shards / "train-{000..002}.tar", group="plate")
    check_reading(source, list(IMAGES))
    assert source.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert source.class_names is None
    assert source.group_names == ["p0", "p1"]
    assert source.names[3] == f"{shards}/train-001.tar/003.png"
    named = data.from_webdataset(str(shards / "*.tar"), label="kind")
    assert (named.labels.tolist(), named.class_names) == ([0, 1, 0, 1, 0, 1, 0], ["cat", "dog"])
    assert data.from_webdataset(shards / "*.tar", label=None).labels is None


def test_samples_equal_those_of_the_package_webdataset(tmp_path):
    wds = pytest.importorskip("webdataset", reason="webdataset writes and reads the shards")
    with wds.ShardWriter(str(tmp_path / "s-%03d.tar"), maxcount=3, verbose=0) as writer:
        for row, image in enumerate(IMAGES):
            writer.write({"__key__": f"a/b.c/{row}", "png": image, "cls": row, "x.json": [row]})
    shards = sorted(map(str, tmp_path.glob("*.tar")))
    expected = list(wds.WebDataset(shards, shardshuffle=False).decode("rgb8"))
    source = data.from_webdataset(shards)
    check_reading(source, [sample["png"] for sample in expected])
    assert source.labels.tolist() == [sample["cls"] for sample in expected]
    keys = [f"{sample['__url__']}/{sample['__key__']}.png" for sample in expected]
    assert list(source.names) == keys


def test_parts_of_the_shards_have_different_names(shards):
    paths = sorted(map(str, shards.glob("*.tar")))
    parts = [data.from_webdataset(paths[number::2]) for number in range(2)]
    assert [len(part) for part in parts] == [5, 2]
    names = [name for part in parts for name in part.names]
    assert sorted(names) == sorted(data.from_webdataset(paths).names)
    assert len(set(names)) == 7


def test_names_of_images_are_paths(shards, tmp_path):
    found = data.from_webdataset(shards / "*.tar")
    rows = [6, 0, 3]
    again = data.from_paths([found.names[row] for row in rows], labels=["x", "y", "x"])
    assert again.labels.tolist() == [0, 1, 0]
    check_reading(again, [IMAGES[row] for row in rows])
    missing = data.from_paths([found.names[0], f"{shards}/train-000.tar/other.png"])
    assert missing.read_one(1)[1] == 0
    assert missing.unreadable() == [(missing.names[1], "the shard has no such file")]
    tiles = data.tiles(found, 4, keep=0)
    np.testing.assert_array_equal(data.from_paths(tiles.names[5:6])[0], tiles[5])


@settings(max_examples=25, deadline=None)
@given(
    format=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    folder=st.sampled_from(["", "./", "a/", "long" * 30 + "/", "é/"]),
    order=st.permutations(range(7)),
)
def test_members_of_every_format_of_tar_are_found(format, folder, order, tmp_path_factory):
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    if format == tarfile.USTAR_FORMAT and folder.startswith("long"):
        folder = "short/"
    members = [(f"{folder}{row}.png", FILES[row]) for row in order]
    write(path, [*members, (f"{folder}._0.png", b"x"), ("readme", b"")], format=format)
    source = data.from_webdataset(path)
    assert len(source) == 7
    for row, other in enumerate(order):
        np.testing.assert_array_equal(source[row], IMAGES[other])


def test_the_image_of_a_sample_may_be_chosen(tmp_path):
    array = data.sources.contents.write_array(np.zeros((2, 2, 3), "uint8"))
    members = [("0.npy", array), ("0.JPG", FILES[0]), ("0.mask.png", FILES[1])]
    write(tmp_path / "a.tar", members)
    np.testing.assert_array_equal(data.from_webdataset(tmp_path / "a.tar")[0], IMAGES[0])
    chosen = data.from_webdataset(tmp_path / "a.tar", image="mask.png")
    np.testing.assert_array_equal(chosen[0], IMAGES[1])
    assert data.from_webdataset(tmp_path / "a.tar", image=[".npy"])[0].shape == (2, 2, 3)


def test_the_index_is_read_from_its_file_until_a_shard_changes(shards, monkeypatch):
    cache, indexed, original = shards / "index.json", [], webdataset._index_shards
    monkeypatch.setattr(
        webdataset, "_index_shards", lambda *given: indexed.append(given) or original(*given)
    )
    first = data.from_webdataset(shards / "*.tar", group="plate", cache=cache)
    again = data.from_webdataset(shards / "*.tar", group="plate", cache=cache)
    assert len(indexed) == 1
    check_reading(again, list(IMAGES))
    assert (again.names, again.group_names) == (first.names, first.group_names)
    assert again.labels.tolist() == first.labels.tolist()
    data.from_webdataset(shards / "*.tar", group="kind", cache=cache)
    assert len(indexed) == 2
    shard = shards / "train-001.tar"
    os.utime(shard, ns=(0, 0))
    data.from_webdataset(shards / "*.tar", group="kind", cache=cache)
    assert len(indexed) == 3
    shard.unlink()
    assert len(data.from_webdataset(shards / "*.tar", group="kind", cache=cache)) == 5
    (shards / "other.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"`cache` must be a new file.* Received: .*other\.json"):
        data.from_webdataset(shards / "*.tar", cache=shards / "other.json")


def test_labels_may_be_missing_or_damaged(tmp_path):
    members = [
        ("0.png", FILES[0]),
        ("0.json", b"no JSON"),
        ("1.png", FILES[1]),
        ("2.png", FILES[2]),
    ]
    members += [
        ("1.json", b'{"y": -1}'),
        ("2.json", b'{"y": 4}'),
        ("0.cls", b""),
        ("1.cls", b"dog"),
    ]
    write(tmp_path / "a.tar", members)
    assert data.from_webdataset(tmp_path / "a.tar", label="y").labels.tolist() == [-1, -1, 4]
    named = data.from_webdataset(tmp_path / "a.tar")
    assert (named.labels.tolist(), named.class_names) == ([-1, 0, -1], ["dog"])


def test_damaged_images_and_shards_are_named(shards, caplog):
    path = shards / "train-000.tar"
    contents = bytearray(path.read_bytes())
    header = contents.index(b"002.png")
    cut = shards / "cut.tar"
    cut.write_bytes(contents[: header + 600])  # in the middle of an image
    with caplog.at_level("WARNING"):
        source = data.from_webdataset(cut)
    assert "cut.tar cannot be read to its end" in caplog.text
    assert len(source) == 3
    assert source.read_one(2)[1] == 0
    assert source.unreadable() == [(f"{cut}/002.png", "the shard is truncated")]
    damaged = shards / "damaged.tar"
    contents[header : header + 512] = b"x" * 512
    damaged.write_bytes(contents)
    assert len(data.from_webdataset(damaged)) == 2
    with pytest.raises(
        ValueError, match=r"`shards` must be tar files.*damaged\.tar.* no header at"
    ):
        data.from_webdataset(damaged, on_error="raise")


def test_bad_arguments_are_named(shards, tmp_path):
    with pytest.raises(ValueError, match=r"`shards` must name existing files\. Received: .*003"):
        data.from_webdataset(shards / "train-{000..003}.tar")
    with pytest.raises(ValueError, match=r"`label` must be an ending or a key.* Received: x"):
        data.from_webdataset(shards / "*.tar", label="x")
    with pytest.raises(ValueError, match=r"`shards` must hold images \(tif\)"):
        data.from_webdataset(shards / "*.tar", image="tif")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz"):
        pass
    with pytest.raises(ValueError, match=r"`shards` must be tar files.*compressed shards cannot"):
        data.from_webdataset(tmp_path / "a.tar.gz", on_error="raise")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.tar", ["a.tar"]),
        ("a{08..10}.tar", ["a08.tar", "a09.tar", "a10.tar"]),
        ("{a,b}-{0..1}", ["a-0", "a-1", "b-0", "b-1"]),
        ("{a}{..}", ["{a}{..}"]),
    ],
)
def test_braces_are_expanded_like_in_a_shell(pattern, expected):
    assert expand_braces(pattern) == expected
