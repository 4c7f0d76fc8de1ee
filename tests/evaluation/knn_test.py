import os
import pathlib

import keras
import numpy as np
import pytest

import keras_isd
from keras_isd.evaluation import extract_features, knn_accuracies, knn_accuracy, knn_predict
from tests.support.processes import ROOT

CIFAR = pathlib.Path(os.environ.get("KERAS_ISD_DATA", ROOT.parent / "shared/data/tfds"))


def test_votes_equal_those_computed_by_hand():
    # Cosines with the query (1, 0): 1 (class 0), 0.8 (class 1), 0.6 (class 1), -1 (class 2).
    bank = np.array([[2.0, 0.0], [0.8, 0.6], [0.6, -0.8], [-1.0, 0.0]])
    classes = np.array([0, 1, 1, 2])
    query = np.array([[3.0, 0.0]])

    def predicts(label, **kwargs):
        return knn_accuracy(bank, classes, query, np.array([label]), **kwargs)["top1"] == 1.0

    assert predicts(0, k=1)
    assert predicts(0, k=2)  # one vote each, so the smaller label wins
    assert predicts(1, k=3)
    # exp(1 / T) against exp(0.8 / T) + exp(0.6 / T): at T = 0.1 the nearest outweighs both.
    assert predicts(0, k=3, temperature=0.1)
    assert predicts(1, k=3, temperature=1.0)
    assert predicts(0, k=3, temperature=0.001)  # exp(1000) would overflow


def test_the_length_of_features_does_not_matter():
    random = np.random.RandomState(0)
    bank, queries = random.standard_normal((200, 8)), random.standard_normal((50, 8))
    labels, answers = random.randint(0, 5, 200), random.randint(0, 5, 50)
    one = knn_accuracy(bank, labels, queries, answers, k=7)
    scaled = bank * random.uniform(0.1, 10, (200, 1))
    assert knn_accuracy(scaled, labels, 3 * queries, answers, k=7) == one


@pytest.mark.parametrize("k", [1, 5, 20])
def test_the_accuracy_agrees_with_scikit_learn(k):
    neighbors = pytest.importorskip("sklearn.neighbors", reason="scikit-learn is the reference")
    random = np.random.RandomState(k)
    # 2,300 queries make more than two blocks.
    bank, queries = random.standard_normal((500, 6)), random.standard_normal((2300, 6))
    labels = (bank[:, 0] > 0) * 2 + (bank[:, 1] > 0)
    answers = (queries[:, 0] > 0) * 2 + (queries[:, 1] > 0)
    reference = neighbors.KNeighborsClassifier(k, algorithm="brute", metric="cosine")
    expected = reference.fit(bank, labels).score(queries, answers)
    found = knn_accuracy(bank, labels, queries, answers, k=k)["top1"]
    assert 0.6 < found < 1
    assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, r"`k`.*\[1, 10\].*Received: k=0"),
        ({"k": 11}, r"Received: k=11"),
        ({"temperature": 0.0}, r"`temperature`.*Received: temperature=0.0"),
        ({"labels": np.zeros(4, int)}, r"`labels`.*5 rows.*shape \(4,\)"),
        ({"train_labels": np.zeros((10, 2), int)}, r"`train_labels`.*shape \(10, 2\)"),
    ],
)
def test_invalid_arguments_are_refused(change, message):
    arguments = {
        "train_features": np.ones((10, 3)),
        "train_labels": np.zeros(10, int),
        "features": np.ones((5, 3)),
        "labels": np.zeros(5, int),
        "k": 3,
    }
    with pytest.raises(ValueError, match=message):
        knn_accuracy(**{**arguments, **change})


def test_the_five_best_classes_all_have_votes():
    # By distance from (1, 0): class 0, class 1 twice, class 2; class 9 is far away.
    bank = np.array([[1.0, 0.0], [0.8, 0.6], [0.8, -0.6], [0.6, 0.8], [-1.0, 0.0]])
    classes = np.array([0, 1, 1, 2, 9])
    queries, labels = np.array([[1.0, 0.0]] * 4), np.array([1, 2, 9, 1])
    found = knn_accuracy(bank, classes, queries, labels, k=4)
    assert found["top1"] == 0.5  # class 1 wins with two votes
    assert found["top5"] == 0.75  # class 9 has no vote, although fewer than five classes have one
    assert found["per_class"] == {1: 1.0, 2: 0.0, 9: 0.0}
    assert knn_accuracy(bank, classes, queries, labels, k=1)["top5"] == 0.0  # only 0 has a vote


def test_equally_near_neighbours_keep_the_order_of_the_bank():
    bank, classes = np.array([[1.0, 0.0]] * 3), np.array([4, 2, 3])
    one = {"features": np.array([[1.0, 0.5]]), "labels": np.array([4])}
    assert knn_accuracy(bank, classes, **one, k=1)["top1"] == 1.0
    assert knn_accuracy(bank, classes, **one, k=2)["top1"] == 0.0  # one vote for 4 and 2: 2 wins


@pytest.mark.data
@pytest.mark.skipif(not CIFAR.is_dir(), reason=f"CIFAR-10 is not in {CIFAR}")
@pytest.mark.parametrize("k", [1, 20])
def test_predictions_on_real_features_equal_those_of_scikit_learn(cifar_features, k):
    neighbors = pytest.importorskip("sklearn.neighbors", reason="scikit-learn is the reference")
    (bank, classes), (features, _) = cifar_features
    reference = neighbors.KNeighborsClassifier(k, algorithm="brute", metric="cosine")
    expected = reference.fit(bank.astype("float64"), classes).predict(features.astype("float64"))
    np.testing.assert_array_equal(knn_predict(bank, classes, features, k=k)[:, 0], expected)


@pytest.fixture(scope="module")
def cifar_features():
    """Features and labels of 10,000 training and all 10,000 test images."""
    tfds = pytest.importorskip("tensorflow_datasets", reason="reads CIFAR-10")
    keras.utils.set_random_seed(0)
    backbone = keras_isd.backbones.ConvNet((32, 32, 3), filters=(8, 16, 32))
    sets = []
    for split in ("train[:10000]", "test"):
        dataset = tfds.load(
            "cifar10", split=split, data_dir=CIFAR, as_supervised=True, batch_size=1000
        )
        batches = ((images / 255, labels) for images, labels in tfds.as_numpy(dataset))
        sets.append(extract_features(backbone, batches, verbose=0)[:2])
    return sets


def test_the_three_usual_classifiers_have_their_settings():
    random = np.random.RandomState(0)
    train, queries = random.randn(230, 4), random.randn(30, 4)
    train_labels, labels = random.randint(0, 7, 230), random.randint(0, 7, 30)
    sets = (train, train_labels, queries, labels)
    found = knn_accuracies(*sets)
    assert found == {
        "1-NN": knn_accuracy(*sets, k=1),
        "20-NN": knn_accuracy(*sets, k=20),
        "200-NN, weighted": knn_accuracy(*sets, k=200, temperature=0.1),
    }
    assert len({result["top1"] for result in found.values()}) == 3
    small = (np.eye(2), [0, 1], np.eye(2), [0, 1])  # in a bank of two rows both vote
    assert [r["top1"] for r in knn_accuracies(*small).values()] == [1.0, 0.5, 1.0]
