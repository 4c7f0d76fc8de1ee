"""Sources of arrays, folders, lists and TensorFlow Datasets; readable and unreadable files."""

import io
import os
import pathlib
import pickle

import numpy as np
import pytest
from PIL import Image

tf = pytest.importorskip("tensorflow", reason="tf.data reads the sources")
import keras_isd  # noqa: E402
from keras_isd import augmentation, data  # noqa: E402
from keras_isd.data.decoding.decoder import Decoder  # noqa: E402
from keras_isd.data.decoding.formats import UnreadableImageError  # noqa: E402
from keras_isd.data.decoding.tf_decoding import decode_quickly, read_header  # noqa: E402
from tests.support.photographs import small_photographs  # noqa: E402
from tests.support.processes import ROOT  # noqa: E402

pytestmark = pytest.mark.one_backend("tf.data is the same under any backend")


SHARED = ROOT.parent / "shared" / "data"
CIFAR = pathlib.Path(os.environ.get("KERAS_ISD_DATA", SHARED / "tfds"))
PHOTOGRAPH = small_photographs()[2]


def contents(image, form, **arguments):
    file = io.BytesIO()
    image.save(file, form, **arguments)
    return file.getvalue()


def photograph(mode="RGB"):
    return Image.fromarray(PHOTOGRAPH).convert(mode)


def decoded(data):
    return np.asarray(Decoder(convert=True)(data)).astype("int32")


READABLE = {
    "colour JPEG": contents(photograph(), "JPEG", quality=95),
    "gray JPEG": contents(photograph("L"), "JPEG", quality=95),
    "CMYK JPEG": contents(photograph("CMYK"), "JPEG", quality=95),
    "PNG": contents(photograph(), "PNG"),
    "gray PNG": contents(photograph("L"), "PNG"),
    "PNG of 16 bits": contents(
        Image.fromarray(np.asarray(photograph("L")).astype("uint16") * 257), "PNG"
    ),
    "palette PNG": contents(photograph().quantize(256), "PNG"),
    "transparent PNG": contents(photograph("RGBA"), "PNG"),
    "GIF": contents(photograph().quantize(256), "GIF"),
    "BMP": contents(photograph(), "BMP"),
    "WebP": contents(photograph(), "WebP", lossless=True),
}
JPEG = READABLE["colour JPEG"]
UNREADABLE = {
    "empty": b"",
    "text": b"no image",
    "truncated JPEG": JPEG[: len(JPEG) // 2],
    "JPEG header": JPEG[:3],
    "truncated PNG": READABLE["PNG"][:4000],
    "JPEG header, then noise": JPEG[:200] + bytes(range(256)) * 8,
}


@pytest.mark.parametrize("kind", READABLE)
def test_images_of_every_kind_are_read_as_rgb(kind):
    found = decoded(READABLE[kind])
    gray = "gray" in kind or "16" in kind
    expected = np.asarray(photograph("L").convert("RGB") if gray else photograph(), "int32")
    assert found.shape == expected.shape
    # JPEG and palettes lose a few levels; these 16 bits become 8 without loss.
    allowed = 8 if any(word in kind for word in ("JPEG", "palette", "GIF")) else 0
    assert np.abs(found - expected).mean() <= allowed


@pytest.mark.parametrize("kind", UNREADABLE)
def test_contents_without_a_complete_image_are_unreadable(kind):
    with pytest.raises(UnreadableImageError):
        Decoder()(UNREADABLE[kind])


@pytest.fixture
def folder(tmp_path):
    """Makes two classes of four files; two files of the first are unreadable."""
    for name, files in {
        "cat": [JPEG, b"", READABLE["PNG"], UNREADABLE["truncated JPEG"]],
        "dog": [JPEG] * 4,
    }.items():
        (tmp_path / "train" / name).mkdir(parents=True)
        for number, file in enumerate(files):
            (tmp_path / "train" / name / f"{number}.JPEG").write_bytes(file)
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_a_folder_in_imagenets_layout_has_labels(folder):
    source = data.from_folder(folder, split="train")
    assert len(source) == 8
    assert source.class_names == ["cat", "dog"]
    assert source.labels.tolist() == [0] * 4 + [1] * 4
    assert source.names[2].endswith("train/cat/2.JPEG")
    image, label = source.read(tf.constant(2, tf.int64))
    np.testing.assert_array_equal(image, PHOTOGRAPH)
    assert int(label) == 0


def test_the_next_image_replaces_an_unreadable_file_which_is_reported(folder, caplog):
    source = data.from_folder(folder, split="train")
    dataset = data.two_view_dataset(
        source, augmentation.weak(16), augmentation.weak(16), 4, seed=0, shuffle_buffer=0
    )
    labels = [labels.numpy().tolist() for _, labels in dataset]
    assert labels == [[0, 0, 0, 1], [1, 1, 1, 1]]  # a dog replaces file 3 of "cat"
    callback = data.ReportUnreadable(source)
    with caplog.at_level("WARNING", logger="absl"):
        callback.on_epoch_end(0)
    assert "Epoch 1: 2 of 8 images could not be read" in caplog.text
    assert "train/cat/1.JPEG: the file is empty" in caplog.text
    assert "train/cat/3.JPEG: image file is truncated" in caplog.text
    caplog.clear()
    callback.on_epoch_end(1)
    assert not caplog.text


def test_index_and_views_belong_to_the_image_that_was_read(folder):
    source = data.from_folder(folder, split="train")
    weak = augmentation.weak(16)
    dataset = data.two_view_dataset(source, weak, weak, 8, 0, shuffle_buffer=0, with_index=True)
    views, labels = next(iter(dataset))
    assert views["index"].numpy().tolist() == [0, 2, 2, 4, 4, 5, 6, 7]
    assert labels.numpy().tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    for stand_in, own in ((1, 2), (3, 4)):
        np.testing.assert_array_equal(views["key"][stand_in], views["key"][own])


@pytest.mark.parametrize("cached", [False, True])
def test_unreadable_files_have_no_features_and_no_name(folder, cached, caplog):
    source = data.from_folder(folder, split="train")
    source = source.cache() if cached else source
    batches = data.one_view_dataset(source, augmentation.evaluation(16), batch_size=3)
    assert len(batches) == 3
    backbone = keras_isd.backbones.ConvNet((16, 16, 3), filters=(4, 8))
    with caplog.at_level("WARNING", logger="absl"):
        found = keras_isd.evaluation.extract_features(
            backbone, batches, verbose=0, names=source.names
        )
    assert found.indices.tolist() == [0, 2, 4, 5, 6, 7]
    assert found.labels.tolist() == [0, 0, 1, 1, 1, 1]
    assert [name[-10:] for name in found.names[:3]] == ["cat/0.JPEG", "cat/2.JPEG", "dog/0.JPEG"]
    assert "2 of 8 images could not be read and have no features" in caplog.text
    whole = data.one_view_dataset(source.subset([0, 2, 4, 5, 6, 7]), augmentation.evaluation(16), 6)
    expected = keras_isd.evaluation.extract_features(backbone, whole, verbose=0)
    np.testing.assert_allclose(found.features, expected.features, atol=1e-6)
    assert len(list(source.dataset())) == 6
    assert [int(label) for _, label in source.dataset()] == [0, 0, 1, 1, 1, 1]


def test_features_without_a_readable_image_are_refused(folder):
    source = data.from_folder(folder, split="train").subset([1, 3])
    batches = data.one_view_dataset(source, augmentation.evaluation(16), batch_size=2)
    backbone = keras_isd.backbones.ConvNet((16, 16, 3), filters=(4,))
    with pytest.raises(Exception, match="None of 2 images can be read"):
        keras_isd.evaluation.extract_features(backbone, batches, verbose=0)


def test_a_deleted_file_is_unreadable(folder):
    source = data.from_folder(folder, split="train")
    pathlib.Path(source.names[5]).unlink()
    image, label = source.read(tf.constant(5, tf.int64))
    assert image.shape == PHOTOGRAPH.shape
    assert int(label) == 1
    [(name, reason)] = source.unreadable()
    assert name.endswith("dog/1.JPEG")
    assert "No such file" in reason


@pytest.mark.parametrize("kind", READABLE)
def test_tensorflow_decodes_as_pillow_does_or_fails(kind):
    contents = tf.constant(READABLE[kind])
    try:
        quick = decode_quickly(contents, read_header(contents)[1])
    except (tf.errors.OpError, ValueError):
        assert kind in ("BMP", "WebP", "GIF", "PNG of 16 bits")
    else:
        np.testing.assert_array_equal(quick, Decoder()(READABLE[kind]))


def test_subsets_replace_unreadable_files_by_their_own_images(folder):
    cats = data.from_folder(folder, split="train").subset(np.array([1, 3, 0]))
    assert [int(cats.read(tf.constant(row, tf.int64))[1]) for row in range(3)] == [0, 0, 0]
    unreadable = [name[-10:] for name, _ in cats.unreadable()]
    assert unreadable == ["cat/1.JPEG", "cat/3.JPEG"]


def test_the_first_three_unreadable_files_are_logged_once(tmp_path, caplog):
    for name, file in {"a": b"", "b": b"text", "c": b"", "d": b"", "e": JPEG}.items():
        (tmp_path / f"{name}.png").write_bytes(file)
    source = data.from_folder(tmp_path)
    with caplog.at_level("WARNING", logger="absl"):
        for row in (4, 0, 0, 2):
            source.read(tf.constant(row, tf.int64))
    logged = [record.message for record in caplog.records]
    assert [line.split("/")[-1][:5] for line in logged] == ["a.png", "b.png", "c.png"]
    assert "the file is empty. In training another image replaces it" in logged[0]
    assert "ReportUnreadable" in logged[2]
    assert [name[-5:] for name, _ in source.unreadable()] == ["a.png", "b.png", "c.png", "d.png"]
    assert source.unreadable() == []


def test_a_cached_source_no_longer_needs_its_files(folder):
    source = data.from_folder(folder, split="train").subset(np.array([6, 2, 1]))
    pathlib.Path(source.names[1]).rename(folder / "elsewhere")
    cached = source.cache()
    pathlib.Path(source.names[0]).unlink()
    image, label = cached.read(tf.constant(0, tf.int64))
    np.testing.assert_array_equal(image, Decoder()(JPEG))
    assert int(label) == 1
    cached.read(tf.constant(1, tf.int64))
    assert [name[-10:] for name, _ in cached.unreadable()] == ["cat/2.JPEG", "cat/1.JPEG"]
    assert cached.class_names == ["cat", "dog"]
    with pytest.raises(ValueError, match=r"`max_bytes` must .*max_bytes=10, exceeded after 1 of 6"):
        data.from_folder(folder, split="train").cache(max_bytes=10)


def test_an_unreadable_file_is_an_error_on_request(folder):
    source = data.from_folder(folder, split="train", on_error="raise")
    with pytest.raises(Exception, match=r"cat/1\.JPEG cannot be read: the file is empty"):
        source.read(tf.constant(1, tf.int64))


def test_a_source_without_a_readable_image_is_an_error(folder):
    source = data.from_folder(folder, split="train").subset(np.array([1, 3]))
    with pytest.raises(Exception, match="None of 2 images can be read"):
        source.read(tf.constant(0, tf.int64))


def test_a_list_file_of_the_authors_is_read(folder):
    listed = folder / "D.txt"
    names = "class names : \ndog\ncat\nTrain Images: \n/train/dog/3.JPEG\n/train/cat/2.JPEG\n"
    listed.write_text(names)
    source = data.from_list_file(listed, folder)
    assert source.class_names == ["dog", "cat"]
    assert source.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(source.read(tf.constant(1, tf.int64))[0], PHOTOGRAPH)
    listed.write_text(names.replace("train/cat", "train/cow"))
    with pytest.raises(ValueError, match=r"`list_file` must .*Received: .*cow"):
        data.from_list_file(listed, folder)
    listed.write_text(names.replace("2.JPEG", "9.JPEG"))
    with pytest.raises(
        ValueError, match=r"`directory` must .*Received: .*without 1 of 2.*cat/9\.JPEG"
    ):
        data.from_list_file(listed, folder)
    listed.write_text("train/cat/2.JPEG\n")
    with pytest.raises(ValueError, match=r"`list_file` must .*Received: "):
        data.from_list_file(listed, folder)


def test_rows_of_arrays_are_read_in_any_order():
    images = np.arange(5, dtype="uint8")[:, None, None] * np.ones((1, 4, 6), "uint8")
    source = data.from_arrays(images, [4, 3, 2, 1, 0]).subset(np.array([4, 0, 2]))
    found, labels = source.read(tf.constant([[0, 1], [2, 0]], tf.int64))
    assert found.shape == (2, 2, 4, 6, 3)
    assert found[..., 0, 0, 2].numpy().tolist() == [[4, 0], [2, 4]]
    assert labels.numpy().tolist() == [[0, 4], [2, 0]]
    assert [int(label) for _, label in source.dataset()] == [0, 4, 2]


@pytest.mark.parametrize(
    ("images", "arguments", "message"),
    [
        (
            np.zeros((3, 4, 4, 2), "int64"),
            {},
            "`images` must .* Received: .*int64",
        ),
        (np.zeros((3, 4), "uint8"), {}, r"`images` must .* Received: .*\(3, 4\)"),
        (
            np.zeros((3, 4, 4, 5)),
            {"channels": 1},
            r"`channels` must .* Received: .*\(3, 4, 4, 5\)",
        ),
        (np.zeros((3, 4, 4), "uint8"), {"labels": [0, 1]}, "`labels` must .*3 images, 2 labels"),
        (np.zeros((2, 4, 4), "uint8"), {"labels": [0, -2]}, "label -2 of row 1"),
        (np.zeros((2, 4, 4), "uint8"), {"labels": [0, 2], "class_names": ["a", "b"]}, "label 2 of"),
        (np.zeros((2, 4, 4), "uint8"), {"labels": [0.0, 2.0]}, "must be integers"),
    ],
)
def test_invalid_arrays_are_refused(images, arguments, message):
    with pytest.raises(ValueError, match=message):
        data.from_arrays(images, **arguments)


@pytest.mark.parametrize("rows", [[], [5], [-1], [0.5]])
def test_rows_out_of_range_are_refused(rows):
    with pytest.raises(ValueError, match="Argument `rows` must"):
        data.from_arrays(np.zeros((5, 4, 4), "uint8")).subset(np.array(rows))


@pytest.mark.data
@pytest.mark.skipif(not CIFAR.is_dir(), reason=f"CIFAR-10 is not in {CIFAR}")
def test_cifar_is_read_from_tensorflow_datasets():
    source = data.from_tfds("cifar10", split="test[:100]", data_dir=CIFAR)
    assert len(source) == 100
    assert source.in_memory
    assert source.class_names[3] == "cat"
    assert source.read(tf.constant([0, 99], tf.int64))[0].shape == (2, 32, 32, 3)
    with pytest.raises(ValueError, match=r"`max_bytes` must .* Received: max_bytes=10000"):
        data.from_tfds("cifar10", split="test[:100]", data_dir=CIFAR, max_bytes=10_000)


@pytest.mark.parametrize(("name", "in_memory"), [("cifar100", True), ("imagenette", False)])
def test_other_sets_are_read_from_tensorflow_datasets(tmp_path, name, in_memory):
    tfds = pytest.importorskip("tensorflow_datasets", reason="it provides the data sets")
    with tfds.testing.mock_data(num_examples=6):
        source = data.from_tfds(name, data_dir=tmp_path)
    assert len(source) == 6
    assert source.in_memory == in_memory
    image, label = source.read(tf.constant(3, tf.int64))
    assert image.dtype == tf.uint8
    assert image.shape[-1] == 3
    assert int(label) == source.labels[3]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Prepares a data set of TensorFlow Datasets for random access."""
    pytest.importorskip("array_record", reason="the extra [records]")
    pytest.importorskip("tensorflow_datasets", reason="it provides the data set")
    from tests.support.small_photographs import small_photographs_dataset_builder as builder

    folder = tmp_path_factory.mktemp("sets")
    made = builder.SmallPhotographs(data_dir=folder, file_format="array_record")
    made.download_and_prepare()
    return folder


def test_a_set_on_disk_is_read_in_any_order(records):
    source = data.from_tfds("small_photographs", data_dir=records, random_access=True)
    assert len(source) == 20
    assert not source.in_memory
    assert source.class_names == ["even", "odd"]
    for row in (13, 2, 19):
        image = source[row]
        number = image[0, 0, 0] // 10
        assert image.shape == (10 + number, 12, 3)
        assert source.labels[row] == number % 2
        read, label = source.read(tf.constant(row, tf.int64))
        np.testing.assert_array_equal(read, image)
        assert int(label) == number % 2
    copy = pickle.loads(pickle.dumps(source.subset([3, 4])))
    np.testing.assert_array_equal(copy[1], source[4])
    part = data.from_tfds(
        "small_photographs", "train[:5]", data_dir=records, random_access=True, labels=False
    )
    assert (len(part), part.labels) == (5, None)


def test_a_set_on_disk_is_shuffled_as_a_whole_and_resumed_at_any_step(records):
    source = data.from_tfds("small_photographs", data_dir=records, random_access=True)
    weak = augmentation.weak(8)

    def batches(**place):
        return data.two_view_dataset(source, weak, weak, 4, seed=3, with_index=True, **place)

    whole = [views["index"].numpy().tolist() for views, _ in batches()]
    assert sorted(np.concatenate(whole).tolist()) == list(range(20))
    assert whole != sorted(whole)
    rest = [views["index"].numpy().tolist() for views, _ in batches(initial_step=3)]
    assert rest == whole[3:]


@pytest.mark.data
@pytest.mark.skipif(
    not (SHARED / "imagenet_sample").is_dir(), reason="the ImageNet sample is not here"
)
def test_original_photographs_of_imagenet_are_all_read():
    source = data.from_folder(SHARED / "imagenet_sample", split="train", on_error="raise")
    assert len(source) == 252
    for image, _ in source.dataset().take(20):
        assert image.shape[-1] == 3
