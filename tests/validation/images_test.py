"""Pixels and views of a range that cannot be right are warned of, by whatever way they come in."""

import keras
import numpy as np
import pytest

import keras_isd
from keras_isd.validation.batches import tuple_batches
from keras_isd.validation.first_batch import check_first_batch
from keras_isd.validation.images import warn_of_pixels, warn_of_views
from tests.support import golden

# Of natural images: 8 bits, and the same as other programs give them.
PIXELS = np.random.RandomState(0).randint(0, 256, (16, 8, 8, 3))
KINDS = {
    "8 bits": (PIXELS.astype("uint8"), False),
    "8 bits as floats": (PIXELS.astype("float32"), False),
    "unit range": ((PIXELS / 255).astype("float32"), True),
    "16 bits": ((PIXELS * 257).astype("float32"), True),
    "centred": ((PIXELS / 127.5 - 1).astype("float32"), True),
}
EVALUATION = keras_isd.augmentation.evaluation(8)


def views_of(pixels):
    return keras.ops.convert_to_numpy(EVALUATION(pixels))


def model(**kwargs):
    made = keras_isd.ISDModel(golden.small_backbone(), queue_size=8, **kwargs)
    made.compile("sgd", run_eagerly=True)
    return made


def in_the_step():
    weak = keras_isd.augmentation.weak(8)
    return model(query_augmenter=weak, key_augmenter=weak)


def of_views(pixels):
    views = views_of(pixels)
    return {"query": views, "key": views}


class Batches(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return (self.batch,)


def tf_data(batch):
    tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    return tf.data.Dataset.from_tensor_slices(batch).batch(8)


def loader(batch):
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")
    rows = keras.tree.map_structure(torch.as_tensor, batch)
    items = [
        (keras.tree.map_structure(lambda array, row=row: array[row], rows),) for row in range(16)
    ]
    return torch.utils.data.DataLoader(items, batch_size=8)


def generator(batch):
    yield (batch,)


def warned(caplog):
    found = [record.getMessage()[:6] for record in caplog.records]
    return [said for said in found if said in ("Images", "Views ")]


FORMS = {
    "arrays": lambda batch: batch,
    "PyDataset": Batches,
    "tf.data": tf_data,
    "DataLoader": loader,
    "generator": generator,
}


@pytest.mark.filterwarnings("ignore:Your input ran out of data", "ignore:`shuffle=True`")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_fit_warns_of_what_cannot_be_right(form, kind, caplog):
    pixels, wrong = KINDS[kind]
    with caplog.at_level("WARNING", logger="absl"):
        in_the_step().fit(FORMS[form](pixels), verbose=0)
        model().fit(FORMS[form](of_views(pixels)), verbose=0)
    assert warned(caplog) == (["Images", "Views ", "Views "] if wrong else [])  # query and key


@pytest.mark.one_backend("tf.data is the same under any backend")
@pytest.mark.parametrize("kind", KINDS)
def test_pipelines_and_features_warn_of_what_cannot_be_right(kind, caplog):
    tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    pixels, wrong = KINDS[kind]
    dataset = tf.data.Dataset.from_tensor_slices(pixels)
    with caplog.at_level("WARNING", logger="absl"):
        batches = keras_isd.data.two_view_dataset(dataset, EVALUATION, EVALUATION, 8)
        model().fit(batches, verbose=0)
        keras_isd.data.ViewBatches(pixels, None, EVALUATION, 8)
    assert warned(caplog) == (["Images"] * 2 if wrong else [])
    caplog.clear()
    with caplog.at_level("WARNING", logger="absl"):
        keras_isd.evaluation.extract_features(
            golden.small_backbone(), [views_of(pixels)], verbose=0
        )
    assert warned(caplog) == (["Views "] if wrong else [])


def test_what_is_looked_at_is_read_once_and_as_it_would_have_been():
    batches = [(of_views(PIXELS[start : start + 4]),) for start in (0, 4, 8)]
    read = []

    def reading():
        for batch in batches:
            read.append(batch)
            yield batch

    again = check_first_batch(reading(), value_range=None)
    assert not read
    assert [id(batch) for batch in again] == [id(batch) for batch in batches]
    assert len(read) == 3


def test_loaders_of_every_kind_are_left_to_their_samplers_and_workers():
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")
    read = []

    class Rows(torch.utils.data.Dataset):
        def __getitem__(self, row):  # without a length, of which a sampler knows
            read.append(row)
            return torch.full((8, 8, 3), float(row))

    loaders = [
        torch.utils.data.DataLoader(Rows(), batch_size=2, sampler=[9, 3, 5]),
        torch.utils.data.DataLoader(Rows(), batch_sampler=[[9, 3], [5]]),
        torch.utils.data.DataLoader([torch.ones(4, 8, 8, 3)] * 2, batch_size=None),
    ]
    for loader in loaders:
        before = torch.random.get_rng_state()
        again = check_first_batch(tuple_batches(loader), value_range=(0.0, 255.0))
        assert torch.equal(before, torch.random.get_rng_state())
        assert not read
        for (one,), other in zip(again, loader, strict=True):
            assert torch.equal(one, other)
        read.clear()


def test_a_loader_that_was_gone_through_gives_tuples_too():
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")
    rows = [{"query": torch.ones(8, 8, 3)}] * 4
    loader = torch.utils.data.DataLoader(rows, 2, num_workers=1, persistent_workers=True)
    assert isinstance(next(iter(loader)), dict)
    [one, _] = list(tuple_batches(loader))
    assert isinstance(one, tuple)


@pytest.mark.one_backend("tf.data is the same under any backend")
def test_a_data_set_of_ones_own_keeps_its_order_and_its_draws(caplog):
    tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")

    def order(look):
        dataset = tf.data.Dataset.range(20).shuffle(20, seed=1).batch(4)
        dataset = dataset.map(lambda rows: {"query": tf.zeros((4, 8, 8, 3)), "rows": rows})
        dataset = check_first_batch(dataset, value_range=None) if look else dataset
        assert int(dataset.cardinality()) == 5
        return [batch["rows"].numpy().tolist() for _ in range(2) for batch in dataset]

    with caplog.at_level("WARNING", logger="absl"):
        assert order(look=True) == order(look=False)
    assert warned(caplog) == ["Views "]  # once, in two epochs


@pytest.mark.parametrize(
    ("low", "high", "wrong"),
    [(0, 255, False), (0, 2, False), (0, 1, True), (-1, 100, True), (0, 256, True)],
)
def test_pixels_lie_between_0_and_255(low, high, wrong, caplog):
    with caplog.at_level("WARNING", logger="absl"):
        warn_of_pixels([np.array([[[low, high, high]]])])
    assert bool(caplog.records) == wrong


@pytest.mark.parametrize(
    ("views", "wrong"),
    [
        (np.array([-1.0, 1.0]), False),
        (np.array([0.0, 255.0]), False),
        (np.array([-2.0, -1.99]), True),  # spread 0.005
        (np.array([0.0, 301.0]), True),
        (np.array([np.nan, 0.0]), False),  # the loss tells
    ],
)
def test_views_have_a_spread_and_lie_within_300(views, wrong, caplog):
    with caplog.at_level("WARNING", logger="absl"):
        warn_of_views(views.reshape(1, 2, 1, 1))
    assert bool(caplog.records) == wrong
