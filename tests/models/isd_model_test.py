import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_isd
from tests.support import golden

PLUS = golden.Trajectory("isd_plus")


def flat_backbone():
    """Images of one pixel and two channels are their own features."""
    images = keras.Input((1, 1, 2))
    return keras.Model(images, layers.Flatten()(images))


def by_hand(**kwargs):
    """Two anchors along the axes, and an image pair at 0 and at 45 degrees."""
    model = keras_isd.ISDModel(flat_backbone(), queue_size=2, **kwargs)
    model.queue.embeddings.assign(np.eye(2, dtype="float32"))
    model.queue.labels.assign(np.array([4, 7]))
    model.compile("sgd")
    query = np.array([[2.0, 2.0]], "float32").reshape(1, 1, 1, 2)
    key = np.array([[3.0, 0.0]], "float32").reshape(1, 1, 1, 2)
    return model, {"query": query, "key": key}


def test_metrics_of_one_image_by_hand():
    model, views = by_hand(teacher_temperature=0.5, student_temperature=0.1)
    logs = model.evaluate(views, np.array([4]), verbose=0, return_dict=True)
    p = np.exp(2) / (np.exp(2) + 1)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    assert logs["teacher_entropy"] == pytest.approx(entropy, rel=1e-5)
    assert logs["loss"] == pytest.approx(np.log(2) - entropy, rel=1e-5)
    assert logs["purity"] == 0.5  # of 2 anchors, not 5
    assert logs["embedding_std"] == 0  # of a batch of one


def test_embedding_std_of_spread_and_of_collapsed_embeddings():
    model, _ = by_hand()
    spread = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], "float32").reshape(4, 1, 1, 2)
    logs = model.evaluate({"query": spread, "key": spread}, verbose=0, return_dict=True)
    assert logs["embedding_std"] == pytest.approx(2**-0.5, rel=1e-5)  # 1 / sqrt(D)
    same = np.ones((4, 1, 1, 2), "float32")
    logs = model.evaluate({"query": same, "key": same}, verbose=0, return_dict=True)
    assert logs["embedding_std"] == pytest.approx(0, abs=1e-6)


def test_keys_enter_the_queue_after_the_loss_has_read_it():
    model = golden.golden_model("isd_plus")
    anchors = ops.convert_to_numpy(model.queue.embeddings).copy()
    views, labels = next(iter(PLUS.batches()))
    loss = model.fit(views, labels, batch_size=8, verbose=0).history["loss"][0]
    assert loss == pytest.approx(PLUS.losses[0], rel=1e-4)
    now = ops.convert_to_numpy(model.queue.embeddings)
    assert np.abs(now[:8] - anchors[:8]).max() > 0.1
    np.testing.assert_array_equal(now[8:], anchors[8:])


@pytest.mark.parametrize(
    ("name", "dim", "projector", "values"),
    [
        ("resnet50", 2048 // 4, True, (131072, 0.01, 0.1, 0.99)),
        ("resnet18", 512, False, (131072, 0.02, 0.02, 0.999)),
        ("cifar_resnet18", 512 // 4, True, (8192, 0.02, 0.1, 0.95)),
    ],
)
def test_recipes_have_the_values_of_the_design(name, dim, projector, values):
    recipe = keras_isd.recipes.get_recipe(name)
    keys = ("queue_size", "teacher_temperature", "student_temperature", "teacher_momentum")
    assert tuple(recipe.model[key] for key in keys) == values
    model = keras_isd.ISDModel.from_recipe(name, (64, 64, 3), queue_size=16)
    assert model.embedding_dim == dim
    assert (model.projector is not None) == projector
    assert model.predictor.input_shape == model.predictor.output_shape == (None, dim)
    assert model.queue.embeddings.shape == (16, dim)
    assert model.teacher_momentum == values[3]
    # ImageNet's stem reduces 64 pixels to 16 before the first stage; the small stem keeps 64.
    first = model.student_backbone.get_layer("layer1_0_conv1").output.shape[1]
    assert first == (64 if name == "cifar_resnet18" else 16)


def test_calling_compute_loss_changes_nothing():
    model = golden.golden_model("isd_plus")
    views, labels = next(iter(PLUS.batches()))
    before = [ops.convert_to_numpy(v).copy() for v in model.variables]
    embeddings = model(views)
    model.compute_loss(views, ops.convert_to_tensor(labels), embeddings)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)
