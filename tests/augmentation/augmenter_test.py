"""An augmenter makes the same views in a training step of any backend and in tf.data."""

import keras
import numpy as np
import pytest

import keras_isd
from keras_isd import augmentation
from tests.support.photographs import small_photographs

IMAGES = small_photographs()
CHAINS = {
    "weak": augmentation.weak(32),
    "strong": augmentation.strong(48),
    "solarize": augmentation.strong(32, blur=0.1, solarize=0.5),
    "evaluation": augmentation.evaluation(40, fraction=0.9),
}


def draw_numbers(augmenter, seed=0):
    numbers = np.random.RandomState(seed).rand(len(IMAGES), augmenter.draws)
    return numbers.astype("float32")


def make_views(augmenter, *arguments):
    return keras.ops.convert_to_numpy(augmenter(*arguments))


@pytest.mark.parametrize("name", CHAINS)
def test_tf_data_and_the_step_give_the_same_pixels_for_the_same_numbers(name):
    tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    augmenter = CHAINS[name]
    numbers = draw_numbers(augmenter)
    dataset = tf.data.Dataset.from_tensors((IMAGES, numbers)).map(augmenter)
    in_pipeline = next(iter(dataset)).numpy()
    # After division by a standard deviation of about 0.22, one grey level is 0.018.
    np.testing.assert_allclose(make_views(augmenter, IMAGES, numbers), in_pipeline, atol=1e-4)


@pytest.mark.parametrize("name", CHAINS)
def test_numbers_determine_the_views_and_images_are_independent(name):
    augmenter = CHAINS[name]
    numbers = draw_numbers(augmenter)
    views = make_views(augmenter, IMAGES, numbers)
    np.testing.assert_array_equal(make_views(augmenter, IMAGES, numbers), views)
    alone = make_views(augmenter, IMAGES[2], numbers[2])
    np.testing.assert_allclose(alone, views[2], atol=1e-5)
    if augmenter.draws:
        other = make_views(augmenter, IMAGES, draw_numbers(augmenter, seed=1))
        assert (np.abs(other - views).max(axis=(1, 2, 3)) > 0.1).all()


def test_views_without_numbers_follow_the_global_seed():
    def views(seed):
        keras.utils.set_random_seed(seed)
        return make_views(CHAINS["strong"], IMAGES)

    np.testing.assert_array_equal(views(3), views(3))
    assert np.abs(views(3) - views(4)).max() > 0.1


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_does_not_change_a_view(mixed_precision, policy):
    numbers = draw_numbers(CHAINS["strong"])
    expected = make_views(CHAINS["strong"], IMAGES, numbers)
    mixed_precision(policy)
    found = make_views(CHAINS["strong"], IMAGES.astype("float16"), numbers)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_augmenters_survive_serialisation():
    for augmenter in CHAINS.values():
        config = keras.saving.serialize_keras_object(augmenter)
        twin = keras.saving.deserialize_keras_object(config)
        numbers = draw_numbers(augmenter)
        np.testing.assert_array_equal(
            make_views(twin, IMAGES, numbers), make_views(augmenter, IMAGES, numbers)
        )


@pytest.mark.parametrize("shape", [(32, 32, 1), (4, 32, 32, 4), (32, 32)])
def test_arrays_that_are_not_three_channel_images_are_rejected(shape):
    with pytest.raises(ValueError, match=r"Images must be .* Received: shape="):
        augmentation.weak(32)(np.zeros(shape))


def in_step_model(**arguments):
    return keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((32, 32, 3), filters=(4, 8)),
        queue_size=16,
        query_augmenter=augmentation.strong(32),
        key_augmenter=augmentation.weak(32),
        **arguments,
    )


def fit_losses(model, images=IMAGES, **arguments):
    fit = model.fit(images, batch_size=2, shuffle=False, verbose=0, **arguments)
    return fit.history["loss"]


def test_fit_makes_new_views_of_plain_images_in_every_step():
    seen = []

    class Recording(keras_isd.ISDModel):
        def embed_query(self, images, training=False):
            seen.append(keras.ops.convert_to_numpy(images))
            return super().embed_query(images, training)

    model = Recording(
        keras_isd.backbones.ConvNet((32, 32, 3), filters=(4, 8)),
        queue_size=16,
        query_augmenter=augmentation.weak(32),
        key_augmenter=augmentation.weak(32),
        seed=0,
    )
    model.compile(keras_isd.optimizers.SGD(0.0), run_eagerly=True, jit_compile=False)
    if keras.backend.backend() == "jax":
        pytest.skip("JAX traces the step, so it has no values to record")
    fit_losses(model, np.repeat(IMAGES[:1], 4, axis=0), epochs=2)
    steps = np.concatenate(seen[-4:])
    assert steps.shape == (8, 32, 32, 3)
    distances = np.abs(steps[:, None] - steps[None]).max(axis=(2, 3, 4))
    assert (distances + np.eye(8) > 0.1).all()  # eight crops of one image


def test_one_seed_fixes_a_run_whose_views_are_made_in_the_step():
    def losses(seed):
        keras.utils.set_random_seed(0)
        model = in_step_model(seed=seed)
        model.compile(keras_isd.optimizers.SGD(0.05))
        return fit_losses(model, epochs=2)

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_a_saved_model_resumes_with_the_views_of_an_uninterrupted_run(tmp_path):
    model = in_step_model(seed=1)
    model.compile(keras_isd.optimizers.SGD(0.05))
    fit_losses(model)
    model.save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    assert fit_losses(resumed) == fit_losses(model)


def test_evaluate_is_deterministic_and_changes_nothing():
    model = in_step_model(seed=1)
    model.compile(keras_isd.optimizers.SGD(0.05))
    before = [keras.ops.convert_to_numpy(v) for v in model.variables]
    seeds = keras.ops.convert_to_numpy(model.two_views.seeds.state)
    results = [model.evaluate(IMAGES, batch_size=2, verbose=0) for _ in range(2)]
    assert results[0] == results[1]
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.two_views.seeds.state), seeds)


def test_labels_of_plain_images_give_purity():
    model = in_step_model(seed=1)
    model.compile(keras_isd.optimizers.SGD(0.05))
    history = model.fit(IMAGES, np.zeros(4, "int32"), batch_size=2, epochs=3, verbose=0).history
    # After two epochs of 4 images 8 of the 16 rows have that one label.
    assert history["purity"][0] < history["purity"][2] <= 1.0


def test_a_step_on_an_image_that_is_not_finite_changes_nothing():
    images = IMAGES.astype("float32")
    images[3, 7, 7, 1] = np.nan
    model = in_step_model(seed=1)
    model.compile(keras_isd.optimizers.SGD(0.05))
    with pytest.raises(keras_isd.NonFiniteLossError, match="step 2 "):
        fit_losses(model, images)
    for value in model.get_weights():
        assert np.isfinite(value).all()


def test_a_single_augmenter_is_rejected():
    with pytest.raises(
        ValueError, match=r"`query_augmenter` and `key_augmenter` must .*key_augmenter=None"
    ):
        keras_isd.ISDModel(
            keras_isd.backbones.ConvNet((32, 32, 3), filters=(4,)),
            query_augmenter=augmentation.weak(32),
        )


def test_plain_images_without_augmenters_are_rejected_with_advice():
    model = keras_isd.ISDModel(keras_isd.backbones.ConvNet((32, 32, 3), (4,)), queue_size=8)
    model.compile(keras_isd.optimizers.SGD(0.05))
    with pytest.raises(ValueError, match="`query_augmenter` and a `key_augmenter`"):
        model.fit(np.zeros((2, 32, 32, 3)), verbose=0)


def test_plain_images_of_another_rank_are_rejected():
    model = in_step_model()
    model.compile(keras_isd.optimizers.SGD(0.05))
    with pytest.raises(ValueError, match=r"plain images \(batch, height, width, channels\)"):
        model.fit(np.zeros((2, 32, 32)), verbose=0)


def test_deep_pixels_without_a_range_are_warned_of_once(caplog):
    deep = np.full((4, 8, 8, 3), 40_000, "uint16")
    view = augmentation.evaluation(8)
    with caplog.at_level("WARNING", logger="absl"):
        view(deep)
        view(deep[0])
    assert caplog.text.count("Images must have pixels in [0, 255]") == 1
    caplog.clear()
    with caplog.at_level("WARNING", logger="absl"):
        augmentation.evaluation(8)((deep // 256).astype("uint8"))
        augmentation.evaluation(8, (*augmentation.IMAGENET, (0, 65535)))(deep)
    assert caplog.text == ""
