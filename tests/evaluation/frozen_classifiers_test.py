"""Classifiers on frozen features: their folds, their choice, and the models that they become."""

import keras
import numpy as np
import pytest

from keras_isd import backbones, evaluation
from keras_isd.command.finetune import LINEAR, NEIGHBORS, NETWORK, choose_classifier

pytest.importorskip("sklearn")


def data(count=90, noise=0.3, seed=0):
    random = np.random.RandomState(seed)
    labels = np.arange(count) % 3
    return (2 * np.eye(8)[labels] + noise * random.randn(count, 8)).astype("float32"), labels


@pytest.mark.one_backend("scikit-learn splits")
def test_folds_keep_classes_even_and_groups_together():
    labels, groups = np.arange(60) % 3, np.arange(60) // 5
    folds = evaluation.make_folds(labels, folds=4)
    assert np.concatenate([rows for _, rows in folds]).size == 60
    assert all(np.bincount(labels[rows]).tolist() == [5, 5, 5] for _, rows in folds)
    for fitted, classified in evaluation.make_folds(labels, groups, folds=4):
        assert not set(groups[fitted]) & set(groups[classified])
    assert len(evaluation.make_folds([0, 0, 1, 1, 2], folds=5)) == 2


@pytest.mark.one_backend("scikit-learn splits")
@pytest.mark.parametrize("groups", [None, [0, 0, 0]])
def test_labels_that_cannot_be_split_are_an_error(groups):
    labels = [0, 1, 2] if groups is None else [0, 0, 1]
    with pytest.raises(ValueError, match="two images of a class"):
        evaluation.make_folds(labels, groups)


def test_a_linear_layer_and_neighbours_are_judged_on_other_images():
    features, labels = data()
    folds = evaluation.make_folds(labels)
    assert evaluation.cross_validate_linear(features, labels, folds).is_correct.mean() > 0.95
    assert evaluation.cross_validate_neighbors(features, labels, folds).is_correct.mean() > 0.95
    random = np.random.RandomState(0).permutation(labels)  # labels without a meaning
    assert evaluation.cross_validate_linear(features, random, folds).is_correct.mean() < 0.6
    one = evaluation.cross_validate_neighbors(features, random, folds, neighbors=[1])
    assert one.is_correct.mean() < 0.6


@pytest.mark.parametrize("classes", [2, 3])
def test_the_models_give_the_classes_of_their_features(classes, tmp_path):
    backbone = backbones.ConvNet((8, 8, 1), filters=(4, 8))
    views = np.random.RandomState(0).randn(40, 8, 8, 1).astype("float32")
    views[:20] += 1.5
    labels = (np.arange(40) >= 20).astype(int) * (classes - 1)  # of three, class 1 has no image
    features = backbone.predict(views, verbose=0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    linear = evaluation.linear_classifier(backbone, features, labels, classes, 1e-3)
    expected = evaluation.logistic_regression(features, labels, features, labels, [1e-3])["top1"]
    found = linear.predict(views, verbose=0)
    assert found.shape == (40, classes)
    assert (found.argmax(axis=1) == labels).mean() == expected
    near = evaluation.neighbor_classifier(backbone, features, labels, classes, 3)
    shares = np.exp(near.predict(views, verbose=0)) - 1e-3
    rows = np.argsort(-(unit @ unit.T), axis=1)[:, :3]
    by_hand = np.eye(classes)[labels[rows]].mean(axis=1)
    np.testing.assert_allclose(shares, by_hand, atol=1e-4)
    for model in (linear, near):
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(
            loaded.predict(views, verbose=0), model.predict(views, verbose=0), atol=1e-5
        )


@pytest.mark.one_backend("scikit-learn fits")
def test_the_linear_layer_is_scikit_learns_optimum():
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels = data(60, noise=1.5)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    kernel, bias, _ = evaluation.logistic.fit_logistic(unit, labels, 1e-2)
    scaled = (unit - unit.mean(axis=0)) / np.sqrt(unit.var(axis=0) + 1e-5)
    expected = linear_model.LogisticRegression(C=1 / (1e-2 * 60), max_iter=1000)
    expected.fit(scaled, labels)
    np.testing.assert_allclose(unit @ kernel + bias, expected.decision_function(scaled), atol=5e-2)


def right(count, total=100):
    return np.arange(total) < count


@pytest.mark.one_backend("plain arithmetic")
def test_the_whole_network_is_kept_only_if_it_is_better_beyond_chance():
    few = {LINEAR: right(80), NEIGHBORS: right(70)}
    assert choose_classifier(few)[0] == LINEAR
    assert choose_classifier({LINEAR: right(60), NEIGHBORS: right(70)})[0] == NEIGHBORS
    kept, reason = choose_classifier({**few, NETWORK: right(83)})
    assert kept == LINEAR
    assert "not beyond chance, by 0.030 (p = 0.25)" in reason
    kept, reason = choose_classifier({**few, NETWORK: right(95)})
    assert (kept, reason) == (NETWORK, "better than the linear layer by 0.150 (p = 6.1e-05)")
    assert "worse" in choose_classifier({**few, NETWORK: right(60)})[1]
