"""Features in a file equal those in memory, however often the writing is interrupted."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow", reason="tf.data reads the sources")
import keras_isd
from keras_isd import augmentation, data, evaluation
from keras_isd.evaluation import feature_file

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
    assert [file.name for file in path.parent.iterdir()] == ["features.npy"]
    half = extract_to_file(backbone, tmp_path / "half.npy", dtype="float16")
    assert half.dtype == "float16"
    np.testing.assert_allclose(half, extract_in_memory(backbone), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("stops", [[2], [0, 1, 3], [4]])
def test_an_interrupted_run_resumes(backbone, tmp_path, monkeypatch, stops):
    computed = []

    def extract(model, batches, **arguments):
        if len(computed) in stops:
            stops.remove(len(computed))
            raise KeyboardInterrupt
        computed.append(1)
        return evaluation.extract_features(model, batches, **arguments)

    monkeypatch.setattr(feature_file, "_check_same", lambda *arguments: None)
    monkeypatch.setattr(feature_file, "extract_features", extract)
    for _ in range(len(stops)):
        with pytest.raises(KeyboardInterrupt):
            extract_to_file(backbone, tmp_path / "features.npy")
        assert not (tmp_path / "features.npy").exists()
    found = extract_to_file(backbone, tmp_path / "features.npy")
    np.testing.assert_allclose(found, extract_in_memory(backbone), atol=1e-6)
    assert len(computed) == 5  # 23 images in pieces of 5, each piece once
    extract_to_file(backbone, tmp_path / "features.npy")
    assert len(computed) == 5


def test_an_unfinished_file_of_another_model_is_refused(backbone, tmp_path, monkeypatch):
    pieces = iter([evaluation.extract_features])
    monkeypatch.setattr(feature_file, "extract_features", lambda *a, **k: next(pieces)(*a, **k))
    with pytest.raises(StopIteration):
        extract_to_file(backbone, tmp_path / "features.npy")
    monkeypatch.undo()
    monkeypatch.setattr(feature_file, "PIECE_IMAGES", 5)
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
