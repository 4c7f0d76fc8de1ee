"""Features in a file equal those in memory, however often the writing is interrupted."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow", reason="tf.data reads the sources")
import keras_isd
from keras_isd import augmentation, data, evaluation
from keras_isd.evaluation import feature_file
from tests.support.interrupts import InterruptedFeatures

pytestmark = pytest.mark.slow

IMAGES = np.random.RandomState(0).randint(0, 256, (23, 8, 8, 3)).astype("uint8")
VIEW = augmentation.evaluation(8)
SOURCE = data.from_arrays(IMAGES)


@pytest.fixture
def backbone():
    return keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(feature_file, "PIECE_IMAGES", 5)


def extract_in_memory(backbone):
    batches = data.one_view_dataset(SOURCE, VIEW, 8)
    return evaluation.extract_features(backbone, batches, verbose=0).features


def extract_to_file(backbone, path, source=SOURCE, **arguments):
    return evaluation.cache_features(backbone, source, VIEW, path, 4, verbose=0, **arguments)


def test_the_file_holds_the_features_of_all_images(backbone, tmp_path):
    path = tmp_path / "new" / "features.npy"
    np.testing.assert_allclose(
        extract_to_file(backbone, path), extract_in_memory(backbone), atol=1e-6
    )
    assert {file.name for file in path.parent.iterdir()} == {"features.npy", "features.npy.json"}
    half = extract_to_file(backbone, tmp_path / "half.npy", dtype="float16")
    assert half.dtype == "float16"
    np.testing.assert_allclose(half, extract_in_memory(backbone), rtol=1e-3, atol=1e-4)


def test_all_pieces_share_one_pipeline_because_each_leaves_its_functions_in_memory(
    backbone, tmp_path, monkeypatch
):
    made, make = [], feature_file._make_batches
    monkeypatch.setattr(
        feature_file, "_make_batches", lambda *a: made.append(len(a[0])) or make(*a)
    )
    extract_to_file(backbone, tmp_path / "features.npy")
    assert made == [23]


@pytest.mark.parametrize("stops", [[3], [0, 3, 2], [5]])
@pytest.mark.parametrize("batch_size", [4, 7])
def test_an_interrupted_run_resumes(backbone, tmp_path, monkeypatch, stops, batch_size):
    iterate = InterruptedFeatures(monkeypatch, stops)
    path = tmp_path / "features.npy"
    for _ in stops:
        with pytest.raises(KeyboardInterrupt):
            extract_to_file(backbone, path)
        assert not path.exists()
    before = iterate.batches
    monkeypatch.setattr(feature_file, "_check_same", lambda *arguments: None)
    found = evaluation.cache_features(backbone, SOURCE, VIEW, path, batch_size, verbose=0)
    np.testing.assert_allclose(found, extract_in_memory(backbone), atol=1e-6)
    # A note is written after two batches of 4, because a piece has 5 images.
    noted = 8 * sum(stop // 2 for stop in stops)
    assert iterate.batches - before == -(-(23 - noted) // batch_size)


def interrupt_after_one_piece(backbone, path, source=SOURCE):
    with pytest.MonkeyPatch.context() as patch:
        InterruptedFeatures(patch, [2])
        with pytest.raises(KeyboardInterrupt):
            extract_to_file(backbone, path, source)


def write_images(folder):
    folder.mkdir()
    for row in range(23):
        Image.fromarray(IMAGES[row]).save(folder / f"{row:02}.png")
    return data.from_folder(folder)


def test_a_part_of_another_list_of_images_is_refused(backbone, tmp_path):
    source = write_images(tmp_path / "images")
    interrupt_after_one_piece(backbone, tmp_path / "features.npy", source)
    (tmp_path / "images/20.png").rename(tmp_path / "images/02b.png")  # after the first rows
    changed = data.from_folder(tmp_path / "images")
    with pytest.raises(ValueError, match=r"`path` must.*Received: .*of other images"):
        extract_to_file(backbone, tmp_path / "features.npy", changed)
    extract_to_file(backbone, tmp_path / "features.npy", source.subset(range(23)), replace=True)
    with pytest.raises(ValueError, match=r"`path` must.*Received: .*of other images"):
        extract_to_file(backbone, tmp_path / "features.npy", changed)
    found = extract_to_file(backbone, tmp_path / "features.npy", changed, replace=True)
    order = [*range(3), 20, *range(3, 20), 21, 22]
    np.testing.assert_allclose(found, extract_in_memory(backbone)[order], atol=1e-6)


def test_a_file_replaced_under_its_name_makes_other_images(backbone, tmp_path):
    source = write_images(tmp_path / "images")
    extract_to_file(backbone, tmp_path / "features.npy", source)
    Image.new("RGB", (9, 8), "red").save(tmp_path / "images/22.png")
    with pytest.raises(ValueError, match=r"`path` must.*images that have changed"):
        extract_to_file(backbone, tmp_path / "features.npy", source)


def test_other_pixels_in_memory_are_other_images(backbone, tmp_path):
    extract_to_file(backbone, tmp_path / "features.npy")
    changed = IMAGES.copy()
    changed[13, 0, 0, 0] ^= 1
    with pytest.raises(ValueError, match=r"`path` must.*of other images"):
        extract_to_file(backbone, tmp_path / "features.npy", data.from_arrays(changed))


def test_a_note_without_its_part_begins_anew(backbone, tmp_path):
    interrupt_after_one_piece(backbone, tmp_path / "features.npy")
    (tmp_path / "features.npy.part").unlink()
    found = extract_to_file(backbone, tmp_path / "features.npy")
    np.testing.assert_allclose(found, extract_in_memory(backbone), atol=1e-6)


def test_a_finished_file_whose_first_images_are_unreadable_is_checked(
    backbone, tmp_path, monkeypatch
):
    monkeypatch.setattr(feature_file, "PIECE_IMAGES", 23)
    write_images(tmp_path / "images")
    for row in range(9):
        (tmp_path / f"images/{row:02}.png").write_bytes(b"")
    source = data.from_folder(tmp_path / "images")
    for _ in range(2):
        extract_to_file(backbone, tmp_path / "features.npy", source)
    unreadable = feature_file.unreadable_rows(tmp_path / "features.npy").tolist()
    assert unreadable == [*range(9)]


def test_a_full_disk_is_an_error_before_any_image_is_read(backbone, tmp_path, monkeypatch):
    def raise_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_file.os, "posix_fallocate", raise_full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        extract_to_file(backbone, tmp_path / "features.npy")
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_file_of_another_model_is_refused(backbone, tmp_path):
    interrupt_after_one_piece(backbone, tmp_path / "features.npy")
    other = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    with pytest.raises(ValueError, match=r"`path` must.*Received: .*\(23, 8\)"):
        extract_to_file(other, tmp_path / "features.npy")


def test_an_unreadable_image_has_a_row_of_zeros(backbone, tmp_path):
    for row in range(7):
        Image.fromarray(IMAGES[row]).save(tmp_path / f"{row}.png")
    (tmp_path / "6.png").write_bytes(b"")
    found = extract_to_file(backbone, tmp_path / "features.npy", data.from_folder(tmp_path))
    np.testing.assert_allclose(found[:6], extract_in_memory(backbone)[:6], atol=1e-6)
    np.testing.assert_array_equal(found[6], 0)


def test_a_file_of_other_images_model_view_or_dtype_is_refused(backbone, tmp_path):
    extract_to_file(backbone, tmp_path / "features.npy")
    other = keras_isd.backbones.ConvNet((8, 8, 3), filters=(4, 8))
    for change in (
        lambda path: extract_to_file(backbone, path, SOURCE.subset(range(5))),
        lambda path: extract_to_file(other, path),
        lambda path: extract_to_file(backbone, path, dtype="float16"),
        lambda path: evaluation.cache_features(
            backbone, SOURCE, augmentation.weak(8), path, verbose=0
        ),
    ):
        with pytest.raises(ValueError, match=r"`path` must.*Received: .*features\.npy"):
            change(tmp_path / "features.npy")
    with pytest.raises(ValueError, match=r"`path` must.*Received: path=.*features\.csv"):
        extract_to_file(backbone, tmp_path / "features.csv")


def test_a_piece_without_a_readable_image_has_rows_of_zeros(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setattr(feature_file, "PIECE_IMAGES", 4)
    for number in range(12):
        file = tmp_path / f"{number:02}.png"
        Image.fromarray(np.full((8, 8, 3), 20 * number, "uint8")).save(file)
        if number < 4 or number >= 8:
            file.write_bytes(b"no image")
    source = keras_isd.data.from_folder(tmp_path, channels=3, dtype="uint8")
    backbone = keras_isd.backbones.ConvNet((8, 8, 3), (4,))
    view = augmentation.evaluation(8)
    found = feature_file.cache_features(backbone, source, view, tmp_path / "f.npy", 2, verbose=0)
    assert feature_file.unreadable_rows(tmp_path / "f.npy").tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    assert not found[[0, 3, 8, 11]].any()
    expected = feature_file.cache_features(
        backbone, source.subset(np.arange(4, 8)), view, tmp_path / "g.npy", verbose=0
    )
    np.testing.assert_allclose(found[4:8], expected, rtol=1e-5)
    none = source.subset(np.arange(4))
    with pytest.raises(ValueError, match=r"readable image.*4 images, such as .*00\.png: it is no"):
        feature_file.cache_features(backbone, none, view, tmp_path / "h.npy", verbose=0)
