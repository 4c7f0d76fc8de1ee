"""Mistakes raise an error or a warning before work is lost."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_isd
from keras_isd.validation.batches import check_batch, check_two_views
from tests.support import golden

PLUS = golden.Trajectory("isd_plus")


def isd(backbone=None, **kwargs):
    return keras_isd.ISDModel(backbone or golden.small_backbone(), **{"queue_size": 8, **kwargs})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queue_size": 0}, r"`queue_size`.*Received: queue_size=0"),
        ({"queue_size": 12.5}, r"`queue_size`.*Received: queue_size=12.5"),
        ({"teacher_temperature": 0.0}, r"`teacher_temperature`.*Received: teacher_temperature=0.0"),
        ({"student_temperature": -1}, r"`student_temperature`.*Received: student_temperature=-1"),
        ({"teacher_momentum": 1.01}, r"`teacher_momentum`.*\[0, 1\].*=1.01"),
        ({"teacher_momentum": -0.1}, r"`teacher_momentum`.*\[0, 1\].*=-0.1"),
        ({"teacher_momentum": float("nan")}, r"`teacher_momentum`.*=nan"),
    ],
)
def test_values_out_of_range_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        isd(**arguments)


def test_backbone_without_pooling():
    images = keras.Input((8, 8, 3))
    backbone = keras.Model(images, layers.Conv2D(4, 3)(images))
    with pytest.raises(ValueError, match=r"`backbone`.*pooling.*\(None, 6, 6, 4\)"):
        isd(backbone)


def test_backbone_of_two_outputs():
    images = keras.Input((8, 8, 3))
    features = layers.GlobalAveragePooling2D()(images)
    with pytest.raises(
        ValueError, match=r"`backbone` must .*Received: backbone with output shape "
    ):
        isd(keras.Model(images, [features, features]))


def test_backbone_not_built():
    with pytest.raises(ValueError, match="`backbone` must be built"):
        isd(keras.Sequential([layers.Flatten()]))


def test_backbone_that_is_not_a_model():
    with pytest.raises(ValueError, match=r"`backbone` must be a keras.Model. Received: .*<"):
        isd(lambda images: images)


def test_projector_of_another_width_than_the_backbone():
    with pytest.raises(ValueError, match=r"`projector`.*\(batch, 16\).*\(None, 20\)"):
        isd(projector=keras_isd.heads.mlp(20, 8, 4))


def test_predictor_of_another_width_than_the_projector():
    projector = keras_isd.heads.mlp(16, 8, 4)
    with pytest.raises(ValueError, match=r"`predictor`.*\(batch, 4\).*\(None, 16\)"):
        isd(projector=projector, predictor=keras_isd.heads.mlp(16, 8, 4))
    with pytest.raises(ValueError, match=r"`predictor`.*from 4 to 6"):
        isd(projector=projector, predictor=keras_isd.heads.mlp(4, 8, 6))


def compiled():
    return golden.golden_model("isd_plus")


def images(count=8, size=8):
    return np.zeros((count, size, size, 3), "float32")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ({"query": images(), "key": images(size=6)}, None, r"same shape.*\(.*8, 8, 3\).*6, 6, 3\)"),
        ({"query": images()}, None, r"two views.*Received.*without \['key'\]"),
        (images(), None, r"Expected batches of .*query"),
        (images(), images(), r"a pair \(query, key\) is read as \(x, y\)"),
        ({"query": images(), "key": images()}, np.zeros(8), r"Labels must be integers.*float"),
        ({"query": images(), "key": images()}, np.zeros((8, 10), "int32"), r"Labels.*\(.*, 10\)"),
    ],
)
def test_batches_that_are_not_two_views(x, y, message):
    model = compiled()
    before = [ops.convert_to_numpy(v).copy() for v in model.variables]
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, batch_size=8, verbose=0)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)
    with pytest.raises(ValueError, match=message):
        model.evaluate(x, y, batch_size=8, verbose=0)


def test_sample_weights_of_another_shape():
    views = {"query": images(), "key": images()}
    with pytest.raises(ValueError, match=r"Sample weights.*\(batch,\).*\(.*, 1\)"):
        compiled().fit(views, np.zeros(8, int), sample_weight=np.ones((8, 1)), verbose=0)


def test_unknown_shapes_are_accepted():
    tf = pytest.importorskip("tensorflow", reason="only tf.data has shapes that are not known")
    dataset = tf.data.Dataset.from_tensors(({"query": images(), "key": images()}, np.zeros(8, int)))

    def forget(views, labels):
        return (
            {
                "query": tf.ensure_shape(
                    tf.py_function(tf.identity, [views["query"]], "float32"), (None, 8, 8, 3)
                ),
                "key": views["key"],
            },
            tf.py_function(tf.identity, [labels], labels.dtype),
        )

    check_batch(dataset.map(forget).element_spec, check_two_views)


@pytest.mark.parametrize("name", ["loss", "metrics"])
def test_loss_or_metrics_given_to_compile(name):
    with pytest.raises(ValueError, match=rf"`{name}` must .*Received: {name}=mse"):
        compiled().compile("sgd", **{name: "mse"})


@pytest.mark.parametrize(
    "setting", [{}, {"jit_compile": keras.backend.backend() != "torch"}], ids=str
)
def test_nan_that_the_network_would_hide_is_found(setting):
    # TensorFlow's ReLU and max-pooling turn NaN into numbers; the gradient is still NaN.
    backbone = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.GlobalMaxPooling2D(),
        ]
    )
    model = isd(backbone)
    model.compile(keras_isd.optimizers.SGD(0.1), **setting)
    random = np.random.RandomState(0)
    views = {name: random.rand(12, 8, 8, 3).astype("float32") for name in ("query", "key")}
    views["query"][5, 1, 1, 1] = np.nan
    with pytest.raises(FloatingPointError, match="step 2 "):
        model.fit(views, batch_size=4, shuffle=False, verbose=0)
    for variable in model.variables:
        assert np.isfinite(ops.convert_to_numpy(variable)).all(), variable.path


def test_unknown_recipe():
    with pytest.raises(ValueError, match=r"cifar_resnet18.*Received: name='resnet99'"):
        keras_isd.ISDModel.from_recipe("resnet99")
    with pytest.raises(
        ValueError, match=r"`input_shape` and `backbone` must .*Received: input_shape=\(64, 64, 3\)"
    ):
        keras_isd.ISDModel.from_recipe("resnet18", (64, 64, 3), backbone=golden.small_backbone())


@pytest.mark.parametrize("setting", [{}, {"jit_compile": True}], ids=str)
def test_nan_images_stop_the_run_at_the_last_good_state(setting):
    views, labels = PLUS.flat_views()
    good = {name: view[:40] for name, view in views.items()}
    expected = golden.golden_model("isd_plus", **setting)
    expected.fit(good, labels[:40], batch_size=8, shuffle=False, verbose=0)

    bad = {name: view.copy() for name, view in views.items()}
    bad["query"][43, 2, 2, 1] = np.nan  # step 6; good batches follow it
    model = golden.golden_model("isd_plus", **setting)
    with pytest.raises(FloatingPointError, match=r"step 6 .*as after step 5"):
        model.fit(bad, labels, batch_size=8, shuffle=False, verbose=0)
    kept = [*model.variables, *model.optimizer.variables]
    wanted = [*expected.variables, *expected.optimizer.variables]
    # Two compilations of one step may round differently on PyTorch.
    tolerance = 1e-3 if setting and keras.backend.backend() == "torch" else 0
    for found, value_wanted in zip(kept, wanted, strict=True):
        found, value_wanted = ops.convert_to_numpy(found), ops.convert_to_numpy(value_wanted)
        np.testing.assert_allclose(found, value_wanted, rtol=0, atol=tolerance)


def test_training_continues_after_a_nan_batch_is_removed():
    views, labels = PLUS.flat_views()
    bad = {name: view[:16].copy() for name, view in views.items()}
    bad["key"][9] = np.nan
    model = golden.golden_model("isd_plus")
    with pytest.raises(FloatingPointError, match="step 2"):
        model.fit(bad, labels[:16], batch_size=8, shuffle=False, verbose=0)
    rest = {name: view[8:] for name, view in views.items()}
    losses = model.fit(rest, labels[8:], batch_size=8, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, [PLUS.losses[1:].mean()], rtol=1e-4)


@pytest.mark.parametrize(
    ("queue_size", "symmetric", "warned"),
    [(24, False, False), (25, False, True), (25, True, False)],
)
def test_a_queue_larger_than_the_data_set_logs_a_warning(queue_size, symmetric, warned, caplog):
    model = isd(queue_size=queue_size, symmetric=symmetric)
    model.compile("sgd")
    views = {"query": images(24), "key": images(24)}
    with caplog.at_level("WARNING"):
        model.fit(views, batch_size=8, verbose=0)
    found = [r.getMessage() for r in caplog.records if "larger than the" in r.getMessage()]
    assert len(found) == warned
    assert all("queue of 25 anchors is larger than the 24 keys" in message for message in found)


@pytest.mark.parametrize("own", [True, False])
def test_groups_without_effect_log_a_warning(own, caplog):
    kind = keras_isd.BatchNormalization if own else layers.BatchNormalization
    backbone = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), kind(), layers.GlobalAveragePooling2D()]
    )
    with caplog.at_level("WARNING"):
        keras_isd.baselines.MoCoModel(backbone, queue_size=8, shuffle_groups=2)
        keras_isd.baselines.MoCoModel(backbone, queue_size=8)
    found = [
        r.getMessage() for r in caplog.records if "`shuffle_groups` has no effect" in r.message
    ]
    # The backbone's and the teacher's.
    assert [text.split("and ")[-1].split(" layers")[0] for text in found] == ([] if own else ["2"])


def test_an_optimizer_of_another_model_is_rejected():
    optimizer = keras.optimizers.SGD(0.1)
    isd().compile(optimizer)
    other = isd()
    with pytest.raises(
        ValueError, match=r"`optimizer` must .*Received: an optimizer built for other"
    ):
        other.compile(optimizer)
    other.compile(keras.optimizers.SGD(0.1))
    other.compile(other.optimizer)  # its own optimizer again


def test_only_augmenters_and_layers_make_views_in_the_step():
    weak = keras_isd.augmentation.weak(8)
    with pytest.raises(ValueError, match=r"`key_augmenter` must be.*Received: <built-in .* abs>"):
        isd(query_augmenter=weak, key_augmenter=abs)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1"])
def test_seeds_that_no_generator_takes_are_rejected(seed):
    weak = keras_isd.augmentation.weak(8)
    for make in (
        lambda: isd(seed=seed),
        lambda: isd(seed=seed, query_augmenter=weak, key_augmenter=weak),
        lambda: keras_isd.heads.linear(2, 2, seed=seed),
        lambda: keras_isd.data.ArrayBatches(np.arange(4), batch_size=2, seed=seed),
        lambda: keras_isd.data.long_tail(np.arange(4), 2, seed=seed),
    ):
        with pytest.raises(ValueError, match=r"`seed` must be an integer in \[0, 2\*\*32\)"):
            make()


@pytest.mark.parametrize("seed", [0, 2**31 - 1, 2**31, 2**32 - 1])
def test_every_seed_in_range_trains(seed):
    weak = keras_isd.augmentation.weak(8)
    pixels = np.random.RandomState(0).randint(0, 256, (8, 8, 8, 3))
    losses = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        model = isd(seed=seed, query_augmenter=weak, key_augmenter=weak)
        model.compile("sgd", run_eagerly=True)
        losses += model.fit(pixels, batch_size=4, shuffle=False, verbose=0).history["loss"]
    assert losses[0] == losses[1]


def test_a_queue_larger_than_memory_is_rejected():
    with pytest.raises(ValueError, match=r"`queue_size`.*anchors of 16 numbers take 59605 GiB"):
        isd(queue_size=10**12)


@pytest.mark.parametrize(("count", "warned"), [(16, False), (17, True)])
def test_a_batch_of_one_image_logs_a_warning(count, warned, caplog):
    model = isd()
    model.compile("sgd", run_eagerly=True)
    views = {"query": images(count), "key": images(count)}
    with caplog.at_level("WARNING"):
        model.fit(views, batch_size=8, verbose=0)
    found = [r.getMessage() for r in caplog.records if "A batch of one image" in r.getMessage()]
    assert len(found) == warned
    assert all("Received: batches of [1, 8] images" in line for line in found)
