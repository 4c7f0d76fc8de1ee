import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_isd
from tests.support import golden

PLUS = golden.Trajectory("isd_plus")


def values(variables):
    return [ops.convert_to_numpy(v).copy() for v in variables]


def assert_unchanged(variables, before):
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


def largest_change(variables, before):
    return max(np.abs(a - b).max() for a, b in zip(values(variables), before, strict=True))


def tiny_backbone(*extra_layers):
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(6, 3), *extra_layers, layers.GlobalMaxPooling2D()]
    )


def random_views(images=16, shape=(8, 8, 3), seed=0):
    random = np.random.RandomState(seed)
    views = {n: random.standard_normal((images, *shape)) for n in ("query", "key")}
    return {name: view.astype("float32") for name, view in views.items()}


class Regression(keras_isd.MomentumModel):
    """The smallest method on the base: the example of its docstring."""

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=False):
        cosine = ops.sum(y_pred["query"] * y_pred["key"], axis=-1)
        return self.mean_loss(2 - 2 * cosine, sample_weight)


def test_teacher_starts_equal_and_shares_nothing():
    model = golden.golden_model("isd_plus")
    fresh = keras_isd.ISDModel(golden.small_backbone(), queue_size=8)
    for student, teacher in zip(
        fresh.student_backbone.weights, fresh.teacher_backbone.weights, strict=True
    ):
        assert student is not teacher
        np.testing.assert_array_equal(ops.convert_to_numpy(student), ops.convert_to_numpy(teacher))
    student = {id(v) for v in model.student_backbone.variables}
    assert not student & {id(v) for v in model.teacher_backbone.variables}


def test_the_teacher_copies_an_adapted_normalization():
    normalization = layers.Normalization(mean=3.0, variance=4.0)
    adapted = layers.Normalization()
    adapted.adapt(5 + 2 * random_views(64)["query"])
    for layer in (normalization, adapted):
        backbone = keras.Sequential(
            [keras.Input((8, 8, 3)), layer, layers.Conv2D(6, 3), layers.GlobalMaxPooling2D()]
        )
        images = random_views()["query"]
        model = Regression(backbone)
        np.testing.assert_allclose(
            ops.convert_to_numpy(ops.stop_gradient(model.embed_query(images))),
            ops.convert_to_numpy(model.embed_key(images)),
            atol=1e-5,
        )


def test_the_teacher_is_updated_before_compile_too():
    model = Regression(tiny_backbone(), teacher_momentum=0.0)
    model.student_backbone.layers[0].bias.assign(np.ones(6))
    model.update_teacher()
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model.teacher_backbone.layers[0].bias), np.ones(6)
    )


def test_layers_unfrozen_before_compile_are_unfrozen_in_the_teacher():
    backbone = tiny_backbone(layers.BatchNormalization())
    backbone.trainable = False
    model = Regression(backbone)
    backbone.trainable = True
    model.compile(keras_isd.optimizers.SGD(0.1))
    assert len(model.trainable_variables) == 4
    statistics = [model.teacher_backbone.layers[1].moving_mean]
    before = values(statistics)
    model.fit(random_views(), batch_size=8, verbose=0)
    assert largest_change(statistics, before) > 1e-4


def test_trainable_variables_are_only_the_students():
    model = golden.golden_model("isd_plus")
    student = (model.student_backbone, model.projector, model.predictor)
    expected = [v for part in student for v in part.trainable_variables]
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in expected}
    assert len(model.trainable_variables) == 6 + 6 + 6
    model.trainable = False
    assert model.trainable_variables == []
    model.trainable = True  # must not unfreeze the teacher
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in expected}


def test_compiling_freezes_an_unfrozen_teacher():
    model = golden.golden_model("isd_plus")
    model.teacher_backbone.trainable = True
    model.compile("sgd")
    assert len(model.trainable_variables) == 18


def test_optimizer_holds_no_state_for_teacher_or_queue():
    model = golden.golden_model("isd_plus")
    # 18 velocities, the iteration and the learning rate
    assert len(model.optimizer.variables) == 18 + 2


def test_teacher_follows_by_momentum_and_keeps_its_own_moving_statistics():
    model = golden.golden_model("isd_plus", PLUS.state("final"))
    pairs = list(model.parameter_pairs())
    assert len(pairs) == 6 + 6
    expected = [0.99 * ops.convert_to_numpy(t) + 0.01 * ops.convert_to_numpy(s) for s, t in pairs]
    statistics = [v for v in model.teacher_backbone.weights if "moving" in v.name]
    before = values(statistics)
    model.update_teacher()
    for (_, teacher), wanted in zip(pairs, expected, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(teacher), wanted, atol=1e-6)
    assert len(before) == 4
    assert_unchanged(statistics, before)


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_momentum_at_its_ends(momentum):
    model = Regression(tiny_backbone(), teacher_momentum=momentum)
    model.compile(keras_isd.optimizers.SGD(0.1))
    teacher, student = model.teacher_backbone.weights, model.student_backbone.weights
    first_teacher = values(teacher)
    model.fit(random_views(), batch_size=8, verbose=0)
    before_last = values(student)
    model.fit(random_views(8), batch_size=8, verbose=0)
    # The teacher moves at the start of a step, towards the student as it was then.
    assert_unchanged(teacher, first_teacher if momentum == 1 else before_last)


@pytest.mark.parametrize("accumulation", [None, 2])
def test_momentum_may_follow_a_schedule(accumulation, tmp_path):
    # 0.0 for the first update, 1.0 from the second on.
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.0, 1.0])
    isd = keras_isd.ISDModel(tiny_backbone(), queue_size=9, teacher_momentum=schedule, seed=0)
    isd.student_backbone.layers[0].kernel.assign(isd.student_backbone.layers[0].kernel * 2)
    first = values(isd.student_backbone.weights)
    isd.compile(keras_isd.optimizers.SGD(0.1, gradient_accumulation_steps=accumulation))
    isd.fit(random_views(32), batch_size=8, shuffle=False, verbose=0)
    assert largest_change(isd.student_backbone.weights, first) > 1e-4
    assert_unchanged(isd.teacher_backbone.weights, first)

    isd.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.teacher_momentum.get_config() == schedule.get_config()


def test_evaluate_and_predict_change_nothing():
    model = golden.golden_model("isd_plus")
    views, labels = PLUS.flat_views()
    everything = [*model.variables, *model.optimizer.variables]
    before = values(everything)
    logs = model.evaluate(views, labels, batch_size=8, verbose=0, return_dict=True)
    features = model.predict(views["query"], batch_size=32, verbose=0)
    embeddings = model.predict(views, batch_size=32, verbose=0)
    assert_unchanged(everything, before)
    assert set(logs) == {"loss", "purity", "teacher_entropy", "embedding_std"}
    assert features.shape == (96, 16)
    np.testing.assert_allclose(np.linalg.norm(embeddings["key"], axis=1), np.ones(96), rtol=1e-5)


def test_predict_returns_the_features_of_the_student_backbone():
    model = golden.golden_model("isd_plus")
    images = PLUS.flat_views()[0]["query"][:10]
    expected = ops.convert_to_numpy(model.student_backbone(images, training=False))
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, rtol=1e-5)


def test_validation_data_do_not_change_the_run():
    weights = []
    for validation in (None, PLUS.flat_views()):
        model = golden.golden_model("isd_plus")
        model.fit(
            *PLUS.flat_views(), batch_size=8, shuffle=False, verbose=0, validation_data=validation
        )
        weights.append(values(model.weights))
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_batch_norm_and_dropout_train_in_the_teacher_too():
    model = Regression(tiny_backbone(layers.BatchNormalization(), layers.Dropout(0.5)))
    images = random_views(64)["key"]
    norm = model.teacher_backbone.layers[1]
    before = values([norm.moving_mean])
    first, second = (ops.convert_to_numpy(model.embed_key(images, training=True)) for _ in "ab")
    assert np.abs(first - second).max() > 0.1  # dropout draws new numbers
    assert largest_change([norm.moving_mean], before) > 1e-4  # batch statistics
    first, second = (ops.convert_to_numpy(model.embed_key(images)) for _ in "ab")
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Dropout(0.5, seed=1),
        lambda: layers.GaussianNoise(1.0, seed=1),
        lambda: layers.SpatialDropout1D(0.5, seed=1),
    ],
    ids=["Dropout", "GaussianNoise", "SpatialDropout1D"],
)
def test_random_layers_with_a_seed_draw_differently_in_student_and_teacher(layer):
    def drawn():
        images = keras.Input((4, 60))
        backbone = keras.Model(images, layers.Flatten()(layer()(images)))
        model = Regression(backbone)
        ones = np.ones((2, 4, 60), "float32")
        networks = (model.student_backbone, model.teacher_backbone)
        return [ops.convert_to_numpy(network(ones, training=True)) for network in networks]

    student, teacher = drawn()
    assert np.mean(student != teacher) > 0.2
    for one, other in zip(drawn(), (student, teacher), strict=True):  # reproducible
        np.testing.assert_array_equal(one, other)


def test_frozen_layers_of_the_student_do_not_change_in_student_or_teacher():
    norm = layers.BatchNormalization()
    backbone = tiny_backbone(norm)
    norm.trainable = False
    model = Regression(backbone)
    model.compile(keras_isd.optimizers.SGD(0.1))
    frozen = [*norm.weights, *model.teacher_backbone.layers[1].weights]
    before = values(frozen)
    model.fit(random_views(), batch_size=8, verbose=0)
    assert_unchanged(frozen, before)
    assert len(model.trainable_variables) == 2


def test_a_new_method_on_the_base_trains():
    model = Regression(tiny_backbone(), predictor=keras_isd.heads.mlp(6, 12, 6))
    model.compile(keras_isd.optimizers.SGD(0.1, momentum=0.9))
    views = random_views(64)
    views["key"] = views["query"] + 0.1 * views["key"]
    losses = model.fit(views, batch_size=16, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_regularizers_of_the_student_add_to_the_loss():
    backbone = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, kernel_regularizer=keras.regularizers.L2(0.5)),
            layers.GlobalMaxPooling2D(),
        ]
    )
    kernel = ops.convert_to_numpy(backbone.layers[0].kernel)
    model = keras_isd.ISDModel(backbone, queue_size=16)
    model.compile("sgd")
    model.queue.embeddings.assign(np.eye(16, 6, dtype="float32"))
    plain = keras_isd.ISDModel(tiny_backbone(), queue_size=16)
    plain.compile("sgd")
    plain.set_weights(model.get_weights())
    losses = [
        m.evaluate(random_views(), verbose=0, return_dict=True)["loss"] for m in (model, plain)
    ]
    assert losses[0] - losses[1] == pytest.approx(0.5 * (kernel**2).sum(), rel=1e-4)


def test_one_seed_fixes_the_run():
    runs = []
    for seed in (5, 5, 6):
        keras.utils.set_random_seed(seed)
        model = keras_isd.ISDModel(tiny_backbone(layers.Dropout(0.3)), queue_size=32)
        model.compile(keras_isd.optimizers.SGD(0.1))
        model.fit(random_views(40), batch_size=8, epochs=2, verbose=0)  # shuffled
        runs.append(values(model.weights))
    for first, second in zip(runs[0], runs[1], strict=True):
        np.testing.assert_array_equal(first, second)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(runs[0], runs[2], strict=True))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's replicas")
@pytest.mark.parametrize("synchronized", [True, False])
def test_student_and_teacher_synchronise_their_batch_normalisation_alike(synchronized):
    model = golden.golden_model("isd_plus", synchronized_batch_norm=synchronized)
    found = [
        layer.synchronized
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    # Two of the backbone, one each of projector and predictor; copies of the first three.
    assert found == [synchronized] * 7
