"""Pixels and views of an implausible range cause a warning at every entry point."""

import keras
import numpy as np
import pytest

import keras_isd
from keras_isd.validation.batches import tuple_batches
from keras_isd.validation.first_batch import check_first_batch
from keras_isd.validation.images import warn_of_pixels, warn_of_views
from tests.support import golden

# The same pixels in 8 bits and in the ranges of other programs; True marks an implausible range.
PIXELS = np.random.RandomState(0).randint(0, 256, (16, 8, 8, 3))
KINDS = {
    "8 bits": (PIXELS.astype("uint8"), False),
    "8 bits as floats": (PIXELS.astype("float32"), False),
    "unit range": ((PIXELS / 255).astype("float32"), True),
    "16 bits": ((PIXELS * 257).astype("float32"), True),
    "centred": ((PIXELS / 127.5 - 1).astype("float32"), True),
}
EVALUATION = keras_isd.augmentation.evaluation(8)


def make_views(pixels):
    return keras.ops.convert_to_numpy(EVALUATION(pixels))


def make_model(**kwargs):
    model = keras_isd.ISDModel(golden.small_backbone(), queue_size=8, **kwargs)
    model.compile("sgd", run_eagerly=True)
    return model


def make_augmenting_model():
    weak = keras_isd.augmentation.weak(8)
    return make_model(query_augmenter=weak, key_augmenter=weak)


def make_two_views(pixels):
    views = make_views(pixels)
    return {"query": views, "key": views}


class Batches(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return (self.batch,)


def make_tf_dataset(batch):
    tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    return tf.data.Dataset.from_tensor_slices(batch).batch(8)


def make_loader(batch):
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")
    rows = keras.tree.map_structure(torch.as_tensor, batch)
    items = [
        (keras.tree.map_structure(lambda array, row=row: array[row], rows),) for row in range(16)
    ]
    return torch.utils.data.DataLoader(items, batch_size=8)


def generate(batch):
    yield (batch,)


def warnings(caplog):
    beginnings = [record.getMessage()[:6] for record in caplog.records]
    return [beginning for beginning in beginnings if beginning in ("Images", "Views ")]


FORMS = {
    "arrays": lambda batch: batch,
    "PyDataset": Batches,
    "tf.data": make_tf_dataset,
    "DataLoader": make_loader,
    "generator": generate,
}


@pytest.mark.filterwarnings("ignore:Your input ran out of data", "ignore:`shuffle=True`")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_fit_warns_of_an_implausible_range(form, kind, caplog):
    pixels, is_wrong = KINDS[kind]
    views = make_two_views(pixels)
    caplog.clear()  # of the warning of the function that made the views, which warns once
    with caplog.at_level("WARNING", logger="absl"):
        make_augmenting_model().fit(FORMS[form](pixels), verbose=0)
        make_model().fit(FORMS[form](views), verbose=0)
    expected = ["Images", "Views ", "Views "] if is_wrong else []  # one for the query, one the key
    assert warnings(caplog) == expected


@pytest.mark.one_backend("tf.data is the same under any backend")
@pytest.mark.parametrize("kind", KINDS)
def test_pipelines_and_feature_extraction_warn_of_an_implausible_range(kind, caplog):
    tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    pixels, is_wrong = KINDS[kind]
    views = make_views(pixels)
    caplog.clear()  # of the warning of the function that made the views, which warns once
    dataset = tf.data.Dataset.from_tensor_slices(pixels)
    with caplog.at_level("WARNING", logger="absl"):
        batches = keras_isd.data.two_view_dataset(dataset, EVALUATION, EVALUATION, 8)
        make_model().fit(batches, verbose=0)
        keras_isd.data.ViewBatches(pixels, None, EVALUATION, 8)
    assert warnings(caplog) == (["Images"] * 2 if is_wrong else [])
    caplog.clear()
    with caplog.at_level("WARNING", logger="absl"):
        keras_isd.evaluation.extract_features(golden.small_backbone(), [views], verbose=0)
    assert warnings(caplog) == (["Views "] if is_wrong else [])


def test_the_check_reads_each_batch_once_and_in_order():
    batches = [(make_two_views(PIXELS[start : start + 4]),) for start in (0, 4, 8)]
    read = []

    def reading():
        for batch in batches:
            read.append(batch)
            yield batch

    checked = check_first_batch(reading(), value_range=None)
    assert not read
    assert [id(batch) for batch in checked] == [id(batch) for batch in batches]
    assert len(read) == 3


def test_the_check_leaves_the_samplers_of_data_loaders_alone():
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")
    read = []

    class Rows(torch.utils.data.Dataset):
        def __getitem__(self, row):  # without a length: the sampler chooses the rows
            read.append(row)
            return torch.full((8, 8, 3), float(row))

    loaders = [
        torch.utils.data.DataLoader(Rows(), batch_size=2, sampler=[9, 3, 5]),
        torch.utils.data.DataLoader(Rows(), batch_sampler=[[9, 3], [5]]),
        torch.utils.data.DataLoader([torch.ones(4, 8, 8, 3)] * 2, batch_size=None),
    ]
    for loader in loaders:
        before = torch.random.get_rng_state()
        checked = check_first_batch(tuple_batches(loader), value_range=(0.0, 255.0))
        assert torch.equal(before, torch.random.get_rng_state())
        assert not read
        for (one,), other in zip(checked, loader, strict=True):
            assert torch.equal(one, other)
        read.clear()


def test_a_loader_with_running_workers_gives_tuples_too():
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")
    rows = [{"query": torch.ones(8, 8, 3)}] * 4
    loader = torch.utils.data.DataLoader(rows, 2, num_workers=1, persistent_workers=True)
    assert isinstance(next(iter(loader)), dict)
    [one, _] = list(tuple_batches(loader))
    assert isinstance(one, tuple)


@pytest.mark.one_backend("tf.data is the same under any backend")
def test_a_checked_data_set_keeps_its_order_and_its_draws(caplog):
    tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")

    def order(is_checked):
        dataset = tf.data.Dataset.range(20).shuffle(20, seed=1).batch(4)
        dataset = dataset.map(lambda rows: {"query": tf.zeros((4, 8, 8, 3)), "rows": rows})
        dataset = check_first_batch(dataset, value_range=None) if is_checked else dataset
        assert int(dataset.cardinality()) == 5
        return [batch["rows"].numpy().tolist() for _ in range(2) for batch in dataset]

    with caplog.at_level("WARNING", logger="absl"):
        assert order(is_checked=True) == order(is_checked=False)
    assert warnings(caplog) == ["Views "]  # once in two epochs


@pytest.mark.parametrize(
    ("low", "high", "is_wrong"),
    [(0, 255, False), (0, 2, False), (0, 1, True), (-1, 100, True), (0, 256, True)],
)
def test_pixels_outside_0_to_255_or_within_1_cause_a_warning(low, high, is_wrong, caplog):
    with caplog.at_level("WARNING", logger="absl"):
        warn_of_pixels([np.array([[[low, high, high]]])])
    assert bool(caplog.records) == is_wrong


@pytest.mark.parametrize(
    ("views", "is_wrong"),
    [
        (np.array([-1.0, 1.0]), False),
        (np.array([0.0, 255.0]), False),
        (np.array([-2.0, -1.99]), True),  # standard deviation 0.005
        (np.array([0.0, 301.0]), True),
        (np.array([np.nan, 0.0]), False),  # shows in the loss
    ],
)
def test_views_beyond_300_or_nearly_constant_cause_a_warning(views, is_wrong, caplog):
    with caplog.at_level("WARNING", logger="absl"):
        warn_of_views(views.reshape(1, 2, 1, 1))
    assert bool(caplog.records) == is_wrong
