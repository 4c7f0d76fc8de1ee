"""Options that the paper lacks: a symmetric loss, and an image's own key as an anchor."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_isd
from keras_isd.losses import similarity_distillation
from tests.baselines.moco_test import unit_rows

METHODS = {
    "isd": lambda *parts, **kwargs: keras_isd.ISDModel(
        *parts, teacher_temperature=0.1, queue_size=10, **kwargs
    ),
    "moco": lambda *parts, **kwargs: keras_isd.baselines.MoCoModel(*parts, queue_size=10, **kwargs),
    "byol": keras_isd.baselines.BYOLModel,
}


def plain_backbone():
    """Has no batch normalisation, so the embedding of a view does not depend on its batch."""
    images = keras.Input((4, 4, 1))
    return keras.Model(images, layers.Dense(3)(layers.Flatten()(images)))


def make_model(method, **kwargs):
    keras.utils.set_random_seed(0)
    model = METHODS[method](plain_backbone(), None, keras_isd.heads.mlp(3, 6, 3), **kwargs)
    model.predictor.layers[1].momentum = 1.0  # keeps the predictor's statistics
    model.compile(keras_isd.optimizers.SGD(0.1))
    return model


def views(count=6, seed=0):
    random = np.random.RandomState(seed)
    return {n: random.standard_normal((count, 4, 4, 1)).astype("float32") for n in ("query", "key")}


@pytest.mark.parametrize("method", METHODS)
def test_symmetric_loss_is_the_mean_of_both_directions(method):
    there = views()
    back = {"query": there["key"], "key": there["query"]}
    separate = []
    for direction in (there, back):
        model = make_model(method)
        labels = None if method == "byol" else np.arange(6)
        separate.append(model.train_on_batch(direction, labels, return_dict=True))
    both = make_model(method, symmetric=True).train_on_batch(there, labels, return_dict=True)
    expected = np.mean([logs["loss"] for logs in separate])
    assert both["loss"] == pytest.approx(expected, rel=1e-5)


def test_symmetric_step_queues_both_keys_of_each_image():
    model = make_model("isd", symmetric=True)
    batch = views()
    keys = [ops.convert_to_numpy(model.embed_key(batch[name])) for name in ("key", "query")]
    model.train_on_batch(batch, np.arange(6))
    # 12 keys into 10 rows: the last two are written over the first.
    expected = np.stack(keys, axis=1).reshape(12, 3)[2:]
    queue = ops.convert_to_numpy(model.queue.embeddings)
    rows = (2 + np.arange(10)) % 10
    np.testing.assert_allclose(queue[rows], expected, atol=1e-5)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model.queue.labels)[rows], np.repeat(np.arange(6), 2)[2:]
    )


def test_symmetric_affects_only_training():
    one, both = make_model("isd"), make_model("isd", symmetric=True)
    found = [m.evaluate(views(), verbose=0, return_dict=True) for m in (one, both)]
    assert found[0] == pytest.approx(found[1])
    assert both.predict(views(), verbose=0)["query"].shape == (6, 3)


def test_sample_weights_weight_both_pairs_of_an_image():
    weights = np.float32([1, 0, 0, 0, 0, 0])
    batch = views()
    first = {name: np.repeat(view[:1], 6, axis=0) for name, view in batch.items()}
    alone = _without_predictor().train_on_batch(first, return_dict=True)["loss"]
    weighted = _without_predictor().train_on_batch(
        batch, np.zeros(6, "int32"), weights, return_dict=True
    )["loss"]
    assert weighted == pytest.approx(alone / 6, rel=1e-5)


def _without_predictor():
    keras.utils.set_random_seed(0)
    model = keras_isd.baselines.BYOLModel(plain_backbone(), symmetric=True)
    model.compile(keras_isd.optimizers.SGD(0.1))
    return model


@pytest.mark.parametrize("block_size", [None, 7, 40])
def test_own_key_is_one_more_anchor(block_size):
    query, key, anchors = unit_rows(5, 8, 0), unit_rows(5, 8, 1), unit_rows(40, 8, 2)
    found = similarity_distillation(
        query, key, anchors, 0.3, 0.2, num_nearest=3, block_size=block_size, own_key_anchor=True
    )
    for row in range(5):
        own = [query[row : row + 1], key[row : row + 1]]
        expected = similarity_distillation(*own, np.vstack([anchors, own[1]]), 0.3, 0.2)
        assert float(found.loss[row]) == pytest.approx(float(expected.loss[0]), rel=1e-4)
        assert float(found.teacher_entropy[row]) == pytest.approx(
            float(expected.teacher_entropy[0]), rel=1e-4
        )
    nearest = np.argsort(-(key @ anchors.T), axis=1)[:, :3]  # the own key is not among them
    np.testing.assert_array_equal(ops.convert_to_numpy(found.nearest), nearest)


@pytest.mark.parametrize("block_size", [None, 7])
def test_gradient_with_the_own_key_agrees_with_finite_differences(block_size):
    query, key, anchors = unit_rows(2, 3, 0), unit_rows(2, 3, 1), unit_rows(20, 3, 2)
    weights = keras.Variable(query)

    class Probe(keras.Model):
        def __init__(self):
            super().__init__()
            self.rows = weights
            self.built = True

        def call(self, x):
            return self.rows + 0.0 * x

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return ops.sum(loss_of(y_pred))

    def loss_of(rows):
        return similarity_distillation(
            rows, key, anchors, 0.3, 0.2, block_size=block_size, own_key_anchor=True
        ).loss

    probe = Probe()
    probe.compile(keras.optimizers.SGD(1.0))
    probe.train_on_batch(np.zeros((2, 3), "float32"), np.zeros((2, 3), "float32"))
    gradient = query - ops.convert_to_numpy(weights)
    step = 1e-2
    for row, column in np.ndindex(query.shape):
        moved = np.zeros_like(query)
        moved[row, column] = step
        ends = [float(ops.sum(loss_of(query + sign * moved))) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * step)
        assert gradient[row, column] == pytest.approx(slope, abs=5e-3)
