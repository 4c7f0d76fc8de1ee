import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_isd
from tests.support import golden


def unit_rows(count, dim, seed):
    rows = np.random.RandomState(seed).standard_normal((count, dim)).astype("float32")
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def identity_backbone(dim=2):
    return keras.Sequential([keras.Input((dim, 1, 1)), layers.Flatten()])


def small_model(**kwargs):
    model = keras_isd.baselines.MoCoModel(golden.small_backbone(), queue_size=40, **kwargs)
    model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9))
    return model


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_the_loss_is_computed_before_the_keys_enter_the_queue():
    model = keras_isd.baselines.MoCoModel(identity_backbone(), queue_size=3, temperature=0.5)
    model.queue.embeddings.assign(np.float32([[0, 1], [0, -1], [-1, 0]]))
    model.compile(keras_isd.optimizers.SGD(0.0))
    views = {
        "query": np.float32([[2, 0], [0, 3]]).reshape(2, 2, 1, 1),
        "key": np.float32([[1, 0], [5, 0]]).reshape(2, 2, 1, 1),
    }
    # For the first query the cosine of the key is 1, those of the anchors are 0, 0 and -1; for the
    # second the key's is 0, the anchors' are 1, -1 and 0.
    first = np.log(np.exp(2) + 2 + np.exp(-2)) - 2
    second = np.log(1 + np.exp(2) + np.exp(-2) + 1)
    history = model.fit(views, np.array([4, 5]), batch_size=2, shuffle=False, verbose=0).history
    assert history["loss"] == pytest.approx([(first + second) / 2], rel=1e-5)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model.queue.embeddings), [[1, 0], [1, 0], [-1, 0]]
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(model.queue.labels), [4, 5, -1])


def test_a_step_changes_every_variable_of_the_student():
    model = small_model()
    views = {n: np.random.RandomState(0).rand(16, 8, 8, 3) for n in ("query", "key")}
    before = [ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    model.fit(views, batch_size=8, verbose=0)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert np.abs(ops.convert_to_numpy(variable) - value).max() > 1e-6


def test_purity_counts_the_anchors_nearest_to_the_key():
    model = keras_isd.baselines.MoCoModel(identity_backbone(), queue_size=6)
    model.queue.embeddings.assign(np.repeat(np.eye(2, dtype="float32"), [5, 1], axis=0))
    model.queue.labels.assign(np.array([7, 7, 7, 1, 1, 1]))
    model.compile("sgd")
    image = np.float32([[1, 0]]).reshape(1, 2, 1, 1)
    logs = model.evaluate(
        {"query": image, "key": image}, np.array([7]), verbose=0, return_dict=True
    )
    assert logs["purity"] == pytest.approx(3 / 5)


def test_groups_keep_each_key_with_its_query_and_separate_their_statistics():
    images = np.random.RandomState(0).standard_normal((12, 8, 8, 3)).astype("float32")
    model = small_model(shuffle_groups=3)
    # Keys 0, 3, 6 and 9 form a group, and so do queries 0 to 3.
    keys = ops.convert_to_numpy(model.embed_key(images, training=True))
    queries = ops.convert_to_numpy(ops.stop_gradient(model.embed_query(images, training=True)))
    alone = small_model()
    alone.set_weights(model.get_weights())
    some_keys = ops.convert_to_numpy(alone.embed_key(images[::3], training=True))
    some_queries = ops.stop_gradient(alone.embed_query(images[:4], training=True))
    np.testing.assert_allclose(keys[::3], some_keys, atol=1e-5)
    np.testing.assert_allclose(queries[:4], ops.convert_to_numpy(some_queries), atol=1e-5)
    assert np.abs(keys - queries).max() > 1e-2
    # Outside of training there are no groups.
    np.testing.assert_allclose(
        ops.convert_to_numpy(model.embed_key(images)),
        ops.convert_to_numpy(ops.stop_gradient(model.embed_query(images))),
        atol=1e-2,
    )


def test_the_trained_backbone_has_no_groups(tmp_path):
    model = small_model(shuffle_groups=4)
    views = {n: np.random.RandomState(0).rand(16, 8, 8, 3) for n in ("query", "key")}
    model.fit(views, batch_size=8, verbose=0)
    model.save(tmp_path / "moco.keras")
    loaded = keras.models.load_model(tmp_path / "moco.keras")
    plain = golden.small_backbone()
    for backbone in (model.student_backbone, loaded.student_backbone):
        plain.set_weights(backbone.get_weights())
        images = np.random.RandomState(1).rand(6, 8, 8, 3)  # 4 does not divide 6
        found, expected = (ops.stop_gradient(b(images, training=True)) for b in (backbone, plain))
        np.testing.assert_allclose(
            ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-6
        )


class Batches(keras.utils.PyDataset):
    """Batches whose size TensorFlow does not know before they are read."""

    def __init__(self, views, size):
        super().__init__()
        self.views, self.size = views, size

    def __len__(self):
        return len(self.views["query"]) // self.size

    def __getitem__(self, number):
        rows = slice(number * self.size, (number + 1) * self.size)
        return {name: view[rows] for name, view in self.views.items()}


def test_groups_of_batches_of_unknown_size_equal_those_of_known_size():
    random = np.random.RandomState(0)
    views = {n: random.rand(24, 8, 8, 3).astype("float32") for n in ("query", "key")}
    losses = []
    for data, arguments in ((views, {"batch_size": 8}), (Batches(views, 8), {})):
        keras.utils.set_random_seed(1)
        model = small_model(shuffle_groups=4, seed=2)
        history = model.fit(data, shuffle=False, verbose=0, epochs=2, **arguments).history
        losses.append(history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_batch_that_groups_do_not_divide_is_rejected():
    views = {n: np.zeros((21, 8, 8, 3), "float32") for n in ("query", "key")}
    model = small_model(shuffle_groups=4)
    with pytest.raises(ValueError, match=r"shuffle_groups=4.*`drop_remainder=True`.*of \[5\] im"):
        model.fit(views, batch_size=8, verbose=0)
    assert int(model.optimizer.iterations) == 0  # before any work
    model.evaluate(views, batch_size=8, verbose=0)  # evaluation has no groups


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0}, r"`temperature`.*Received: temperature=0"),
        ({"shuffle_groups": 0}, r"`shuffle_groups`.*Received: shuffle_groups=0"),
        ({"temperature": "0.2"}, r"`temperature`.*Received: temperature='0.2'"),
        ({"shuffle_groups": True}, r"`shuffle_groups`.*Received: shuffle_groups=True"),
        (
            {"shuffle_groups": 2, "synchronized_batch_norm": True},
            r"`synchronized_batch_norm` and `shuffle_groups`.*Received: shuffle_groups=2",
        ),
        ({"queue_size": 0}, r"`queue_size`.*Received: queue_size=0"),
        ({"symmetric": "no"}, r"`symmetric`.*Received: symmetric='no'"),
    ],
)
def test_values_out_of_range_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_isd.baselines.MoCoModel(golden.small_backbone(), **arguments)


def test_a_saved_model_is_restored_completely(tmp_path):
    model = small_model(temperature=0.3, shuffle_groups=2, symmetric=True)
    views = {n: np.random.RandomState(0).rand(16, 8, 8, 3) for n in ("query", "key")}
    model.fit(views, batch_size=8, verbose=0)
    model.save(tmp_path / "moco.keras")
    loaded = keras.models.load_model(tmp_path / "moco.keras")
    assert (loaded.temperature, loaded.shuffle_groups, loaded.symmetric) == (0.3, 2, True)
    for one, other in zip(model.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_a_recipe_belongs_to_one_method():
    small = keras_isd.backbones.ConvNet((8, 8, 3), (8,))
    moco = keras_isd.baselines.MoCoModel.from_recipe("moco_cifar_resnet18", backbone=small)
    assert (moco.temperature, moco.queue.size, moco.embedding_dim) == (0.1, 4096, 128)
    assert [layer.name for layer in moco.projector.layers] == [f"projector_{i}" for i in range(3)]
    with pytest.raises(
        ValueError,
        match=r"`name` must .*Received: name='cifar_resnet18', a recipe of ISDModel",
    ):
        keras_isd.baselines.MoCoModel.from_recipe("cifar_resnet18", backbone=small)
