"""Mean shift: each query moves towards the neighbours of its key."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_isd
from tests.baselines.moco_test import identity_backbone, unit_rows
from tests.models.symmetric_test import plain_backbone

MSFModel = keras_isd.baselines.MSFModel
# For models whose backbone has no weights: the data are the embeddings.
SILENT = pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")


def points(rows):
    rows = np.float32(rows)
    return rows.reshape(*rows.shape, 1, 1)


def model_with_bank(rows, **kwargs):
    model = MSFModel(identity_backbone(), queue_size=len(rows), **kwargs)
    model.queue.embeddings.assign(np.float32(rows))
    model.compile(keras_isd.optimizers.SGD(0.0))
    return model


@SILENT
def test_neighbours_are_searched_in_the_bank_with_the_keys_of_the_step():
    model = model_with_bank([[1, 0], [0.8, 0.6], [0, 1], [-0.96, -0.28]], num_neighbors=2)
    views = {"query": points([[0, 3]]), "key": points([[2, 0]])}
    logs = model.train_on_batch(views, np.array([4]), return_dict=True)
    # The key replaces the first row, which equals it; its neighbours are itself and (0.8, 0.6). The
    # query (0, 1) is at squared distances 2 and 2 - 2 * 0.6 from them.
    assert logs["loss"] == pytest.approx((2 + 0.8) / 2, rel=1e-5)
    assert logs["purity"] == pytest.approx(1 / 2)  # itself
    np.testing.assert_array_equal(ops.convert_to_numpy(model.queue.labels), [4, -1, -1, -1])
    # The last row, nearest to the first key of a second step, is overwritten by its last key.
    views = {"query": points([[1, 0]] * 3), "key": points([[-1, 0], [0, 1], [-0.8, 0.6]])}
    model.reset_metrics()
    logs = model.train_on_batch(views, np.array([5, 5, 6]), return_dict=True)
    np.testing.assert_allclose(
        ops.convert_to_numpy(model.queue.embeddings), [[1, 0], [-1, 0], [0, 1], [-0.8, 0.6]]
    )
    # The neighbours of the first two are themselves and the third, those of the third are itself
    # and the first. The query is at squared distances 4, 2 and 3.6 from the three keys.
    expected = ((4 + 3.6) / 2 + (2 + 3.6) / 2 + (3.6 + 4) / 2) / 3
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)
    assert logs["purity"] == pytest.approx(1 / 2)


@SILENT
def test_evaluation_finds_neighbours_and_does_not_change_the_bank():
    model = model_with_bank([[1, 0], [0, 1]], num_neighbors=1)
    views = {"query": points([[0, 1]]), "key": points([[3, 1]])}
    logs = model.evaluate(views, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(2.0)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.queue.embeddings), [[1, 0], [0, 1]])


def train(model):
    random = np.random.RandomState(0)
    views = {n: random.standard_normal((24, 4, 4, 1)) for n in ("query", "key")}
    model.compile(keras_isd.optimizers.SGD(0.1))
    losses = model.fit(views, batch_size=8, shuffle=False, epochs=2, verbose=0).history["loss"]
    return losses, model.get_weights()


def parts():
    keras.utils.set_random_seed(0)
    return plain_backbone(), None, keras_isd.heads.mlp(3, 6, 3, name="predictor")


def test_a_single_neighbour_is_byol():
    model = MSFModel(*parts(), queue_size=16, num_neighbors=1)
    byol = keras_isd.baselines.BYOLModel(*parts())
    np.testing.assert_allclose(train(model)[0], train(byol)[0], rtol=1e-4)
    for one, other in zip(model.trainable_variables, byol.trainable_variables, strict=True):
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (one, other)), atol=1e-5)


def test_a_step_without_a_finite_loss_does_not_change_the_bank():
    model = MSFModel(*parts(), queue_size=16, num_neighbors=2)
    model.compile(keras_isd.optimizers.SGD(0.1))
    before = [ops.convert_to_numpy(v) for v in model.queue.variables]
    views = {n: np.random.rand(8, 4, 4, 1) for n in ("query", "key")}
    views["query"][3] = np.nan  # the keys are finite
    with pytest.raises(keras_isd.models.NonFiniteLossError):
        model.fit(views, batch_size=8, verbose=0)
    for variable, value in zip(model.queue.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


def test_settings_survive_saving(tmp_path):
    model = MSFModel(*parts(), queue_size=16, num_neighbors=3, queue_dtype="bfloat16")
    train(model)
    model.save(tmp_path / "msf.keras")
    loaded = keras.models.load_model(tmp_path / "msf.keras")
    views = {n: unit_rows(8, 16, i).reshape(8, 4, 4, 1) for i, n in enumerate(("query", "key"))}
    assert loaded.num_neighbors == 3
    assert loaded.evaluate(views, verbose=0) == pytest.approx(model.evaluate(views, verbose=0))


@pytest.mark.parametrize("symmetric", [False, True])
def test_batches_of_more_keys_than_the_bank_holds_are_rejected(symmetric):
    model = MSFModel(*parts(), queue_size=16, num_neighbors=2, symmetric=symmetric)
    model.compile(keras_isd.optimizers.SGD(0.1))
    size = 9 if symmetric else 17
    views = {n: np.random.rand(size, 4, 4, 1) for n in ("query", "key")}
    with pytest.raises(
        ValueError, match=r"`queue_size` must .*Received: queue_size=16, batches of \[1"
    ):
        model.fit(views, batch_size=size, verbose=0)
    model.fit(views, batch_size=size - 1, verbose=0)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (0, "`num_neighbors` must .*Received: num_neighbors=0"),
        (17, "`num_neighbors` must .*`queue_size`.*Received: num_neighbors=17, queue_size=16"),
    ],
)
def test_wrong_numbers_of_neighbours_are_rejected(number, message):
    with pytest.raises(ValueError, match=message):
        MSFModel(*parts(), queue_size=16, num_neighbors=number)
