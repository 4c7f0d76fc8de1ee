"""Sources without TensorFlow: as a sequence, in other loaders, and in batches of one size."""

import pickle

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import keras_isd
from keras_isd import augmentation, data, evaluation
from tests.support.photographs import photographs, small_photographs
from tests.support.processes import run_python

SIZES = [(40, 60), (60, 40), (48, 48), (90, 50), (33, 77), (64, 64), (50, 41), (70, 70)]


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of photographs of many sizes in two classes."""
    for number, (height, width) in enumerate(SIZES):
        part = photographs()[number % 2][100 : 100 + height, 200 : 200 + width]
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(part).save(path)
    return tmp_path


@pytest.mark.one_backend("NumPy arrays are the same under any backend")
def test_a_source_is_a_sequence_of_arrays(folder):
    source = data.from_folder(folder)
    images = list(source)
    assert [image.shape[:2] for image in images] == [SIZES[i] for i in (0, 2, 4, 6, 1, 3, 5, 7)]
    assert all(type(image) is np.ndarray and image.dtype == "uint8" for image in images)
    np.testing.assert_array_equal(source[-1], images[-1])
    np.testing.assert_array_equal(source[np.int64(2)], images[2])
    part = source.subset([5, 0])
    np.testing.assert_array_equal(part[0], images[5])
    for row in (8, -9):
        with pytest.raises(IndexError, match=f"`row` must .*Received: row={row}"):
            source[row]
    photos = small_photographs()
    array = data.from_arrays(photos).subset([3, 1])
    image = array[1]
    np.testing.assert_array_equal(image, photos[1])
    image[:] = 0  # as an in-place transform does
    np.testing.assert_array_equal(array[1], photos[1])
    np.testing.assert_array_equal(photos, small_photographs())


@pytest.mark.one_backend("NumPy arrays are the same under any backend")
def test_a_copy_in_another_process_reads_the_same(folder):
    sources = [
        data.from_folder(folder).subset([3, 1]),
        data.from_folder(folder).subset([3, 1]).cache(),
        data.from_arrays(small_photographs(), labels=[0, 1, 2, 3]).subset([3, 1]),
    ]
    for source in sources:
        copy = pickle.loads(pickle.dumps(source))
        assert copy.names == source.names
        assert copy.labels.tolist() == source.labels.tolist()
        np.testing.assert_array_equal(copy[0], source[0])


@pytest.mark.one_backend("NumPy arrays are the same under any backend")
def test_arrays_and_cached_files_are_readable_after_tensorflow_has_copied_them(folder):
    tf = pytest.importorskip("tensorflow", reason="it copies them")
    cached = data.from_folder(folder).cache()
    array = data.from_arrays(small_photographs())
    for source in (cached, array):
        before = source[2]
        image, *_ = source.read(tf.constant(2, tf.int64))
        np.testing.assert_array_equal(image, before)
        np.testing.assert_array_equal(source[2], before)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[2], before)


@pytest.mark.one_backend("NumPy arrays are the same under any backend")
def test_an_unreadable_row_is_marked_by_another_row_number(folder):
    source = data.from_folder(folder)
    with open(source.names[1], "wb"):
        pass
    image, row = source.read_one(1)
    assert row == 2
    np.testing.assert_array_equal(image, source[2])
    assert source.unreadable() == [(source.names[1], "the file is empty")]
    strict = data.from_folder(folder, on_error="raise")
    with pytest.raises(ValueError, match=r"2\.png cannot be read: the file is empty"):
        strict[1]


@pytest.mark.one_backend("PyTorch's loader is the same under any backend")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_pytorch_data_loader_accepts_a_source(folder, workers):
    torch = pytest.importorskip("torch", reason="provides the loader")
    source = data.from_folder(folder).subset([3, 1, 7])
    loader = torch.utils.data.DataLoader(source, batch_size=None, num_workers=workers)
    for found, expected in zip(loader, source, strict=True):
        np.testing.assert_array_equal(found, expected)


class OfSource(keras.utils.PyDataset):
    """Reads four images at a time, as a custom data set does."""

    def __init__(self, source, **kwargs):
        super().__init__(**kwargs)
        self.source = source

    def __len__(self):
        return len(self.source) // 4

    def __getitem__(self, index):
        return np.stack([self.source[row] for row in range(4 * index, 4 * index + 4)])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_custom_py_dataset_accepts_a_source(workers):
    images = np.concatenate([small_photographs(24)] * 4)
    model = keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((16, 16, 3), (4,)),
        queue_size=8,
        query_augmenter=augmentation.weak(16),
        key_augmenter=augmentation.weak(16),
    )
    model.compile(keras_isd.optimizers.SGD(0.05))
    history = model.fit(OfSource(data.from_arrays(images), workers=workers), verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.one_backend("grain is the same under any backend")
@pytest.mark.parametrize("workers", [0, 2])
def test_grain_accepts_a_source(folder, workers):
    pytest.importorskip("grain", reason="provides the loader")
    folder = str(folder)
    code = f"""
import grain, numpy as np
from absl import flags
from keras_isd import data
flags.FLAGS(["grain"])
source = data.from_folder({folder!r}, labels=None)
sampler = grain.samplers.IndexSampler(len(source), shuffle=True, num_epochs=1, seed=3)
loader = grain.DataLoader(data_source=source, sampler=sampler, worker_count={workers})
print(sorted(int(image.sum()) for image in loader) == sorted(int(image.sum()) for image in source))
"""
    assert run_python("-c", code).split()[-1] == "True"


def crop_square(image, size):
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    part = Image.fromarray(image).crop((left, top, left + side, top + side))
    return np.asarray(part.resize((size, size), Image.Resampling.BILINEAR))


@pytest.mark.one_backend("NumPy arrays are the same under any backend")
def test_batches_of_one_size_equal_pillows_central_squares(folder):
    source = data.from_folder(folder)
    batches = data.ImageBatches(source, size=32, batch_size=3, shuffle=False, drop_remainder=False)
    expected = [crop_square(image, 32) for image in source]
    found = [batches[number] for number in range(len(batches))]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in found]), expected)
    assert np.concatenate([labels for _, labels in found]).tolist() == source.labels.tolist()


@pytest.mark.one_backend("NumPy arrays are the same under any backend")
def test_deep_images_are_resized_in_float_and_keep_their_dtype(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65535, (2, 20, 30, 5)).astype("uint16")
    batch = data.ImageBatches(data.from_arrays(deep), size=8, batch_size=2, shuffle=False)[0]
    assert batch.dtype == "uint16"
    plane = Image.fromarray(deep[1, :, 5:25, 3].astype("float32")).resize((8, 8), Image.BILINEAR)
    np.testing.assert_allclose(batch[1, ..., 3], np.asarray(plane), atol=0.51)


@pytest.mark.one_backend("NumPy arrays are the same under any backend")
def test_an_image_that_replaces_another_has_its_own_label_and_features(folder):
    source = data.from_folder(folder)
    with open(source.names[3], "wb"):  # the last file of class "a"
        pass
    features = np.arange(8.0)[:, None] * np.ones((1, 4))
    batches = data.ImageBatches(source, 16, 8, shuffle=False, teacher_features=features)
    views, labels = batches[0]
    np.testing.assert_array_equal(views["images"][3], views["images"][4])
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert views["key"][:, 0].tolist() == [0, 1, 2, 4, 4, 5, 6, 7]


class Recorded(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))


def train(source, epochs=2, **arguments):
    keras.utils.set_random_seed(0)
    model = keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((16, 16, 3), (4, 8)),
        queue_size=8,
        query_augmenter=augmentation.weak(16),
        key_augmenter=augmentation.weak(16),
        seed=0,
    )
    model.compile(keras_isd.optimizers.SGD(0.05))
    recorded = Recorded()
    batches = data.ImageBatches(source, size=20, batch_size=2, seed=1, **arguments)
    model.fit(batches, epochs=epochs, verbose=0, callbacks=[recorded])
    return model, recorded.losses


def test_workers_do_not_change_the_batches(folder):
    source = data.from_folder(folder)
    _, one = train(source)
    _, more = train(source, workers=3)
    assert one == more


def test_each_epoch_has_a_new_order_that_depends_on_the_seed(folder):
    source = data.from_folder(folder)

    def orders(seed):
        batches = data.ImageBatches(source, size=20, batch_size=2, seed=seed)
        found = []
        for _ in range(3):
            batches.on_epoch_begin()
            found.append(np.concatenate([batches.rows_of(i) for i in range(len(batches))]).tolist())
            batches.on_epoch_end()
        return found

    assert orders(1) == orders(1)
    assert orders(1) != orders(2)
    assert len({str(order) for order in orders(1)}) == 3
    assert [sorted(order) for order in orders(1)] == [list(range(8))] * 3


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # a resumed epoch is shorter
def test_a_run_starts_at_any_step(folder):
    source = data.from_folder(folder)
    seen = {}
    for place in ({}, {"initial_step": 3}, {"initial_epoch": 1, "initial_step": 1}):
        batches = data.ImageBatches(source, size=20, batch_size=2, seed=1, **place)
        read = []
        for _ in range(2):
            batches.on_epoch_end()
            batches.on_epoch_begin()
            read += [batches[number][1].tolist() for number in range(len(batches))]
            batches.on_epoch_end()
        seen[str(place)] = read
    whole, later, second = seen.values()
    assert whole[3:] == later
    assert whole[5:] == second[:3]
    _, losses = train(source, initial_step=3)
    assert len(losses) == 1 + 4


def test_evaluation_views_equal_those_of_tf_data(folder):
    pytest.importorskip("tensorflow", reason="compares with its views")
    source = data.from_folder(folder)
    view = augmentation.evaluation(24, fraction=0.8)
    batches = data.one_view_dataset(source, view, 3)
    for (found, labels), (expected, expected_labels) in zip(
        data.ViewBatches(source, None, view, 3), batches, strict=True
    ):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, atol=1e-4)
        assert labels.tolist() == expected_labels.numpy().tolist()


def test_unreadable_images_have_no_features(folder):
    source = data.from_folder(folder)
    with open(source.names[2], "wb"):
        pass
    backbone = keras_isd.backbones.ConvNet((16, 16, 3), (4, 8))
    batches = data.ViewBatches(source, None, augmentation.evaluation(16), 3)
    found = evaluation.extract_features(backbone, batches, names=source.names, verbose=0)
    assert found.indices.tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert found.unreadable.tolist() == [2]
    assert found._replace(labels=None).unreadable.tolist() == [2]
    assert found.names == [source.names[i] for i in found.indices]
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


@given(count=st.integers(1, 20), batch_size=st.integers(1, 7), seed=st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_shuffled_passes_have_every_image_with_its_label_in_a_new_order(count, batch_size, seed):
    images = np.arange(count, dtype="float32").reshape(-1, 1, 1, 1)
    batches, again = (
        data.ViewBatches(images, np.arange(count), lambda x: x, batch_size, seed) for _ in range(2)
    )
    orders = []
    for _ in range(2):
        found = [(np.ravel(view), labels) for view, labels in batches]
        assert len(found) == len(batches)
        order = np.concatenate([labels for _, labels in found])
        assert sorted(order) == list(range(count))
        np.testing.assert_array_equal(np.concatenate([view for view, _ in found]), order)
        np.testing.assert_array_equal(order, np.concatenate([labels for _, labels in again]))
        orders.append(order.tolist())
    assert count <= 10 or orders[0] != orders[1]


def test_labels_may_be_a_list():
    batches = data.ViewBatches(np.zeros((3, 4, 4, 1)), [2, 0, 1], lambda x: x, 2)
    assert [labels.tolist() for _, labels in batches] == [[2, 0], [1]]


def test_in_shuffled_views_another_image_replaces_an_unreadable_one(folder):
    source = data.from_folder(folder)
    with open(source.names[3], "wb"):
        pass
    batches = data.ViewBatches(source, None, augmentation.evaluation(8), 3, seed=0)
    labels = np.concatenate([labels for _, labels in batches])
    assert sorted(labels) == [0, 0, 0, 1, 1, 1, 1, 1]  # the next image has the other class
    assert not any(np.isnan(keras.ops.convert_to_numpy(views)).any() for views, _ in batches)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: data.ImageBatches(small_photographs(), 8, 2), "`source` must .*Received: "),
        (lambda s: data.ImageBatches(s, 0, 2), "`size` must .*Received: "),
        (lambda s: data.ImageBatches(s, 8, 9), "`batch_size` must .*Received: batch_size=9"),
        (
            lambda s: data.ImageBatches(s, 8, 2, initial_step=4),
            r"`initial_step` must be in \[0, 4\)",
        ),
        (
            lambda s: data.ImageBatches(s, 8, 2, teacher_features=np.ones((7, 4))),
            "shape \\(8, feat",
        ),
        (lambda s: data.ViewBatches(s, [0], augmentation.evaluation(8), 2), "8 images, 1 labels"),
        (
            lambda s: list(data.ViewBatches(s, None, lambda x: x, 2)),
            "`view` must .*Received: ",
        ),
    ],
)
@pytest.mark.one_backend("arguments are checked alike under any backend")
def test_invalid_batches_are_refused(folder, make, message):
    with pytest.raises(ValueError, match=message):
        make(data.from_folder(folder))
