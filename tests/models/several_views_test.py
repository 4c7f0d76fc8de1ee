"""Several student views of an image, also small ones, share its key; several keys have a mean."""

import keras
import numpy as np
import pytest

import keras_isd
from keras_isd import augmentation
from tests.support import golden

RANDOM = np.random.RandomState(0)
PIXELS = RANDOM.randint(0, 256, (32, 12, 12, 3)).astype("uint8")
LABELS = RANDOM.randint(0, 3, 24)
VIEWS = {
    "query": RANDOM.randn(24, 2, 8, 8, 3).astype("float32"),
    "small": RANDOM.randn(24, 3, 4, 4, 3).astype("float32"),
    "key": RANDOM.randn(24, 8, 8, 3).astype("float32"),
}
METHODS = {
    "isd": keras_isd.ISDModel,
    "moco": keras_isd.baselines.MoCoModel,
    "byol": keras_isd.baselines.BYOLModel,
    "msf": keras_isd.baselines.MSFModel,
}


def make(method, **arguments):
    if method != "byol":
        arguments.setdefault("queue_size", 48)
    model = METHODS[method](
        golden.small_backbone(),
        keras_isd.heads.mlp(16, 32, 4, name="projector"),
        keras_isd.heads.mlp(4, 32, 4, name="predictor"),
        seed=0,
        **arguments,
    )
    model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9))
    return model


def as_numpy(x):
    return keras.ops.convert_to_numpy(x)


def same_weights(model, other):
    """Gives a model the weights of another one with the same networks and queue."""
    for target, value in zip(model.variables, other.variables, strict=True):
        if "seed" not in target.path:
            target.assign(as_numpy(value))  # a copy: JAX' step reuses the memory of variables


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_is_the_mean_of_those_of_all_pairs(method):
    several = make(method, query_views=2, small_views=3)
    one = make(method)
    same_weights(one, several)
    found = several.evaluate(VIEWS, LABELS, batch_size=8, verbose=0, return_dict=True)
    pairs = [VIEWS["query"][:, i] for i in range(2)]
    losses = [
        one.evaluate({"query": query, "key": VIEWS["key"]}, LABELS, 8, 0, return_dict=True)
        for query in pairs
    ]
    losses = [loss["loss"] for loss in losses]
    for i in range(3):  # at a size that the backbone was not built for
        images = VIEWS["small"][:, i]
        x = several.student_backbone.call(images, training=False)
        x = several.predictor(several.projector(x, training=False), training=False)
        key = several.embed_key(VIEWS["key"])
        y_pred = {"query": keras.ops.normalize(x, axis=-1), "key": key}
        losses.append(float(as_numpy(one.compute_loss(y=LABELS, y_pred=y_pred))))
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert np.ptp(losses) > 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_a_step_trains_as_on_the_pairs_and_enqueues_each_key_once(method):
    several = make(method, query_views=2)
    one = make(method)
    same_weights(one, several)
    if method == "msf":  # whose keys enter first: as many neighbours as pairs of a key more
        one.num_neighbors = several.num_neighbors = 1
    views = {name: VIEWS[name][:8] for name in ("query", "key")}
    found = several.train_on_batch(views, return_dict=True)
    pairs = {
        "query": views["query"].reshape(16, 8, 8, 3),
        "key": np.repeat(views["key"], 2, axis=0),  # whose statistics are those of each key once
    }
    expected = one.train_on_batch(pairs, return_dict=True)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    for weight, other in zip(several.trainable_variables, one.trainable_variables, strict=True):
        np.testing.assert_allclose(as_numpy(weight), as_numpy(other), rtol=1e-3, atol=1e-5)
    if method != "byol":
        assert int(as_numpy(several.queue.pointer)) == 8
        assert int(as_numpy(one.queue.pointer)) == 16


@pytest.mark.parametrize("method", METHODS)
def test_a_symmetric_step_compares_small_views_with_both_keys(method):
    model = make(method, symmetric=True, small_views=3)
    views = {"query": VIEWS["query"][:, 0], "key": VIEWS["key"], "small": VIEWS["small"]}
    made = {name: as_numpy(rows) for name, rows in model(views, training=True).items()}
    assert made["query"].shape == (24 * 2 * 4, 4)
    assert made["key"].shape == (24 * 2, 4)
    rows = made["query"].reshape(24, 2, 4, 4)
    np.testing.assert_array_equal(rows[:, 0, 1:], rows[:, 1, 1:])
    assert np.abs(rows[:, 0, 0] - rows[:, 1, 0]).max() > 1e-3
    history = model.fit(views, LABELS, batch_size=8, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    if method != "byol":
        assert int(as_numpy(model.queue.filled)) == 48


def test_the_key_of_several_views_is_their_mean_direction():
    model = make("isd", key_views=2)
    keys = np.stack([VIEWS["key"], VIEWS["query"][:, 1]], axis=1)
    made = model({"query": VIEWS["query"][:, 0], "key": keys}, training=False)
    one = make("isd")
    same_weights(one, model)
    parts = [as_numpy(one.embed_key(keys[:, i])) for i in range(2)]
    expected = np.sum(parts, axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(as_numpy(made["key"]), expected, atol=1e-5)
    model.fit({"query": VIEWS["query"][:, 0], "key": keys}, batch_size=8, verbose=0)
    assert int(as_numpy(model.queue.filled)) == 24


def test_weights_are_those_of_images():
    model = make("isd", query_views=2, small_views=3)
    weights = np.arange(24) / 12
    with pytest.raises(ValueError, match=r"`sample_weight` must be given with labels.*y=None"):
        model.evaluate(VIEWS, sample_weight=weights, batch_size=24, verbose=0)
    found = model.evaluate(VIEWS, LABELS, 24, sample_weight=weights, verbose=0, return_dict=True)
    losses = [
        model.evaluate(
            {n: v[i : i + 1] for n, v in VIEWS.items()}, batch_size=1, verbose=0, return_dict=True
        )["loss"]
        for i in range(24)
    ]
    assert found["loss"] == pytest.approx(np.mean(np.multiply(weights, losses)), rel=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_all_views_are_made_in_the_step(dtype, mixed_precision, tmp_path):
    mixed_precision(dtype)
    weak = augmentation.weak(8)
    model = make(
        "isd",
        query_augmenter=weak,
        key_augmenter=weak,
        small_query_augmenter=weak.with_crop(4, (0.1, 0.4)),
        query_views=2,
        small_views=3,
        key_views=2,
    )
    made = model.two_views(PIXELS[:5], training=True)
    shapes = {name: tuple(views.shape) for name, views in made.items()}
    assert shapes == {
        "query": (5, 2, 8, 8, 3),
        "key": (5, 2, 8, 8, 3),
        "small": (5, 3, 4, 4, 3),
    }
    small = as_numpy(made["small"])
    assert np.abs(small[:, 0] - small[:, 1]).max() > 0.1
    history = model.fit(PIXELS, batch_size=8, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.query_views, loaded.small_views, loaded.key_views) == (2, 3, 2)
    assert loaded.evaluate(PIXELS, verbose=0) == pytest.approx(model.evaluate(PIXELS, verbose=0))


def test_batches_of_a_data_set_have_all_views():
    pytest.importorskip("tensorflow", reason="tf.data makes the views")
    source, weak = keras_isd.data.from_arrays(PIXELS), augmentation.weak(8)
    given = {"query": weak, "key": weak, "batch_size": 8, "seed": 3}
    small = weak.with_crop(4, (0.1, 0.4))
    several = keras_isd.data.two_view_dataset(
        source, **given, query_views=2, key_views=2, small_query=small, small_views=3
    )
    one = keras_isd.data.two_view_dataset(source, **given)
    [first, *_], [expected, *_] = list(several), list(one)
    shapes = {name: tuple(views.shape) for name, views in first.items()}
    assert shapes == {
        "query": (8, 2, 8, 8, 3),
        "key": (8, 2, 8, 8, 3),
        "small": (8, 3, 4, 4, 3),
    }
    for name in ("query", "key"):
        np.testing.assert_array_equal(first[name][:, 0], expected[name])
    assert np.abs(first["small"][:, 0] - first["small"][:, 1]).max() > 0.1
    model = make("isd", query_views=2, key_views=2, small_views=3)
    assert np.isfinite(model.fit(several, verbose=0).history["loss"]).all()
    with pytest.raises(ValueError, match=r"`small_query` and `small_views` .*small_views=2"):
        keras_isd.data.two_view_dataset(source, **given, small_views=2)


WEAK = augmentation.weak(8)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"query_views": 0}, "`query_views` must be a positive integer.*query_views=0"),
        ({"small_views": -1}, "`small_views` must be an integer >= 0.*small_views=-1"),
        ({"symmetric": True, "query_views": 2}, "`symmetric` must be False.*query_views=2"),
        (
            {"query_augmenter": WEAK, "key_augmenter": WEAK, "small_views": 2},
            "`small_query_augmenter` must be given.*small_views=2",
        ),
        ({"small_query_augmenter": WEAK}, "`small_query_augmenter` must.*small_views=0"),
    ],
)
def test_arguments_that_do_not_fit_together_are_named(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        make("isd", **arguments)


def test_batches_without_the_views_are_refused():
    model = make("isd", small_views=3)
    with pytest.raises(ValueError, match='under "small" images'):
        model.fit({"query": VIEWS["key"], "key": VIEWS["key"]}, verbose=0)
    model = make("isd", query_views=3)
    with pytest.raises(ValueError, match=r'under "query" images \(batch, 3, height'):
        model.fit({"query": VIEWS["query"], "key": VIEWS["key"]}, verbose=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("small_views", [0, 3])
def test_only_small_views_may_have_another_size_than_the_backbone(method, small_views):
    model = make(method, small_views=small_views)
    views = {name: np.zeros((8, 10, 10, 3), "float32") for name in ("query", "key")}
    if small_views:
        views["small"] = VIEWS["small"][:8]
    with pytest.raises(ValueError, match=r"\(None, 8, 8, 3\).*\(8, 10, 10, 3\)"):
        model.train_on_batch(views)
