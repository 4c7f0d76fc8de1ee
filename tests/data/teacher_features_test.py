"""A teacher's features are paired with the views of the same images."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

tf = pytest.importorskip("tensorflow", reason="pipelines use tf.data")
from keras_isd import augmentation, data  # noqa: E402
from keras_isd.data.teacher_features import TeacherFeatures  # noqa: E402
from tests.support.processes import run_python  # noqa: E402

pytestmark = pytest.mark.one_backend("tf.data is the same under any backend")

COUNT = 23
IMAGES = np.random.RandomState(0).randint(0, 256, (COUNT, 8, 8, 3)).astype("uint8")
FEATURES = np.arange(COUNT * 3, dtype="float32").reshape(COUNT, 3)  # row r begins with 3 r
WEAK = augmentation.weak(8)


def pixels(images):
    return tf.cast(images, "float32")


def batches(dataset=None, features=FEATURES, **arguments):
    arguments = {"query": pixels, "key": None, "batch_size": 4, "seed": 0, **arguments}
    return data.two_view_dataset(
        dataset or data.from_arrays(IMAGES), teacher_features=features, **arguments
    )


@pytest.fixture(scope="module")
def feature_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "features.npy"
    np.save(path, FEATURES)
    return path


def test_a_shortened_file_raises_an_error(tmp_path):
    np.save(tmp_path / "features.npy", FEATURES)
    features = TeacherFeatures(tmp_path / "features.npy")
    with open(tmp_path / "features.npy", "r+b") as file:
        file.truncate(200)
    with pytest.raises(OSError, match="row 22"):
        features.rows(np.array([0, 22]))


@settings(deadline=None, max_examples=15)
@given(
    batch_size=st.integers(1, 7),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 3),
    shards=st.integers(1, 3),
    stream=st.booleans(),
    in_file=st.booleans(),
)
def test_every_row_is_paired_with_its_image(
    feature_file, batch_size, seed, epoch, shards, stream, in_file
):
    dataset = tf.data.Dataset.from_tensor_slices(IMAGES) if stream else None
    for shard in range(shards):
        found = batches(
            dataset,
            feature_file if in_file else FEATURES,
            batch_size=batch_size,
            seed=seed,
            initial_epoch=epoch,
            num_shards=shards,
            shard_index=shard,
            with_index=True,
        )
        for views in found:
            rows = views["index"].numpy()
            np.testing.assert_array_equal(views["key"], FEATURES[rows])
            np.testing.assert_array_equal(views["query"], IMAGES[rows])


def test_a_file_gives_the_same_rows_as_an_array(tmp_path):
    np.save(tmp_path / "features.npy", FEATURES.astype("float16"))
    for features in (tmp_path / "features.npy", str(tmp_path / "features.npy")):
        for one, other in zip(batches(features=features), batches(), strict=True):
            np.testing.assert_array_equal(one["key"], other["key"])
            np.testing.assert_array_equal(one["query"], other["query"])
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        next(iter(batches(features=mapped)))["key"], next(iter(batches()))["key"]
    )


def test_queries_are_the_same_with_features_as_with_a_key():
    ours = batches(query=WEAK)
    others = data.two_view_dataset(data.from_arrays(IMAGES), WEAK, WEAK, 4, seed=0)
    for one, other in zip(ours, others, strict=True):
        np.testing.assert_array_equal(one["query"], other["query"])


def test_an_unreadable_file_has_the_features_of_the_image_that_replaces_it(tmp_path):
    for row in range(4):
        Image.fromarray(IMAGES[row]).save(tmp_path / f"{row}.png")
    (tmp_path / "1.png").write_bytes(b"")
    source = data.from_folder(tmp_path)
    found = batches(source, FEATURES[:4], query=WEAK, shuffle_buffer=0)
    [views] = list(found)
    np.testing.assert_array_equal(views["key"], FEATURES[[0, 2, 2, 3]])


def with_nan():
    features = FEATURES.copy()
    features[[5, 9], 1] = np.nan
    return features


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": FEATURES[:-1]}, r"\(23, features\).*Received: shape \(22, 3\)"),
        ({"features": FEATURES[:, 0]}, r"Received: shape \(23,\)"),
        ({"features": FEATURES.astype("int32")}, "Received: shape .*int32"),
        ({"features": with_nan()}, "2 of 23 rows with NaN or infinity, such as row 5"),
        ({"features": None}, "`key` must .*teacher_features=None"),
        ({"key": pixels}, "`key` must .*teacher_features=ndarray"),
    ],
)
def test_invalid_features_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        batches(**arguments)


def test_the_error_names_a_missing_file():
    with pytest.raises(FileNotFoundError, match="no_such"):
        batches(features="no_such.npy")


@pytest.mark.parametrize("stream", [False, True])
def test_several_queries_differ_and_the_first_equals_a_single_one(stream, tmp_path):
    for i, image in enumerate(IMAGES[:9]):
        Image.fromarray(image).resize((8 + i, 9)).save(tmp_path / f"{i}.png")
    dataset = data.from_folder(tmp_path) if stream else None  # single images, or whole batches
    features = FEATURES
    if stream:
        features = tmp_path / "features.npy"
        np.save(features, FEATURES[:9])
    one, three = (
        batches(dataset, features, query=WEAK, query_views=n, with_index=True) for n in (1, 3)
    )
    for single, several in zip(one, three, strict=True):
        assert several["query"].shape == (4, 3, 8, 8, 3)
        np.testing.assert_allclose(several["query"][:, 0], single["query"], atol=1e-5)
        for first, second in ((0, 1), (1, 2)):
            difference = several["query"][:, first] - several["query"][:, second]
            assert np.abs(difference).max() > 0.1
        for name in ("key", "index"):
            np.testing.assert_array_equal(several[name], single[name])


def test_the_key_is_the_same_with_several_queries():
    made = {"key": WEAK, "query": WEAK, "features": None}
    one, two = (batches(**made, query_views=n) for n in (1, 2))
    for single, several in zip(one, two, strict=True):
        np.testing.assert_array_equal(several["key"], single["key"])


def test_zero_queries_are_refused():
    with pytest.raises(ValueError, match=r"`query_views` must .*Received: query_views="):
        batches(query_views=0)


def test_a_memory_map_of_a_whole_file_is_read_as_a_file_and_a_part_as_an_array(tmp_path):
    np.save(tmp_path / "features.npy", np.concatenate([-FEATURES, FEATURES]))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    rows = np.array([3, 0, 22])
    changed = np.load(tmp_path / "features.npy", mmap_mode="c")
    changed += 1  # only in memory
    for features, expected, in_file in (
        (mapped, -FEATURES[rows], True),
        (mapped[COUNT:], FEATURES[rows], False),
        (changed, 1 - FEATURES[rows], False),
    ):
        made = TeacherFeatures(features)
        np.testing.assert_array_equal(made.rows(rows), expected)
        np.testing.assert_array_equal(made.rows(22), expected[2])
        assert (made._file is not None) == in_file
        with pytest.raises(IndexError, match=r"`rows` must .*Received: row 46"):
            made.rows(np.array([46]))
    np.save(tmp_path / "other.npy", np.asfortranarray(FEATURES))
    found = TeacherFeatures(tmp_path / "other.npy").rows(rows)
    np.testing.assert_array_equal(found, FEATURES[rows])


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux reports it there")
def test_rows_read_from_a_file_do_not_stay_in_memory(tmp_path):
    path = tmp_path / "features.npy"
    rows = np.lib.format.open_memmap(path, "w+", "float32", (30_000, 1_000))  # 120 MB
    rows[:] = 1
    del rows
    code = f"""
import pathlib
import numpy as np
from keras_isd.data.teacher_features import TeacherFeatures

def peak_memory():
    [line] = [s for s in pathlib.Path("/proc/self/status").read_text().splitlines() if "VmHWM" in s]
    return int(line.split()[1]) / 1024

before = peak_memory()
features = TeacherFeatures({str(path)!r}, 30_000)
for seed in range(100):
    features.rows(np.random.RandomState(seed).permutation(30_000)[:256])
print(peak_memory() - before)
"""
    assert float(run_python("-c", code).split()[-1]) < 60
