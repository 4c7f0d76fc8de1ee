"""Linear probe, logistic regression, fine-tuning, few labels and rare classes."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_isd
from keras_isd import evaluation

CLASSES = np.array([2, 3, 7])


def make_clusters(count, spread, seed, width=12):
    """Makes features around one centre for each class, and their labels."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, 3, count)
    centres = np.random.RandomState(99).randn(3, width)
    features = centres[labels] + spread * random.randn(count, width)
    return features.astype("float32"), CLASSES[labels]


def test_linear_probe_agrees_with_logistic_regression():
    train, test = make_clusters(3000, 2.0, seed=0), make_clusters(3000, 2.0, seed=1)
    # The default weight decay is the penalty weight_decay / 2 * |weights|^2 with 1e-4.
    probe = evaluation.linear_probe(*train, *test, epochs=60, drop_epochs=(30, 45))
    solved = evaluation.logistic_regression(*train, *test, strengths=[1e-4])
    assert 0.7 < probe["top1"] < 0.95
    assert probe["top1"] == pytest.approx(solved["top1"], abs=0.01)
    assert probe["top5"] == 1.0  # there are three classes
    assert set(probe["per_class"]) == set(CLASSES.tolist())


def test_linear_probe_is_fixed_by_its_seed():
    train, test = make_clusters(200, 2.0, seed=0), make_clusters(500, 2.0, seed=1)
    one, same = (evaluation.linear_probe(*train, *test, epochs=2, seed=3) for _ in range(2))
    assert one == same
    assert evaluation.linear_probe(*train, *test, epochs=2, seed=4) != one


def test_the_linear_probe_ignores_the_scale_of_features():
    (features, labels), test = make_clusters(400, 1.0, seed=0), make_clusters(400, 1.0, seed=1)
    one = evaluation.linear_probe(features, labels, *test, epochs=5)
    scaled = evaluation.linear_probe(1000 * features, labels, *test, epochs=5)
    assert scaled == one


@pytest.mark.parametrize("strengths", [[100.0, 0.01], [0.01, 100.0]])
def test_a_strength_is_chosen_on_held_out_features(strengths):
    train, test = make_clusters(200, 1.0, seed=0), make_clusters(1000, 1.0, seed=1)
    weak, strong = (
        evaluation.logistic_regression(*train, *test, strengths=[s]) for s in (0.01, 100.0)
    )
    assert weak["top1"] > strong["top1"] + 0.3  # the strong penalty makes weights nearly zero
    assert evaluation.logistic_regression(*train, *test, strengths=strengths) == weak


def make_images(count, seed):
    """Makes noisy images whose class is their colour."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, 3, count)
    images = np.eye(3)[labels][:, None, None] + 0.7 * random.randn(count, 6, 6, 3)
    return images.astype("float32"), labels.astype("int32")


def in_batches(images, labels, size=16):
    return [(images[i : i + size], labels[i : i + size]) for i in range(0, len(images), size)]


@pytest.fixture
def backbone():
    keras.utils.set_random_seed(1)
    return keras_isd.backbones.ConvNet((6, 6, 3), filters=(8, 16))


def test_training_a_classifier_does_not_change_the_backbone(backbone):
    train, test = (
        in_batches(*make_images(120, 0)),
        in_batches(*make_images(120, 1)),
    )
    before = [ops.convert_to_numpy(v) for v in backbone.variables]
    results = {
        "probe": evaluation.linear_probe_on_images(
            backbone, train, train, test, epochs=12, drop_epochs=(8, 10), learning_rate=0.1
        ),
        "tuned": evaluation.fine_tune(backbone, train, test, epochs=12, learning_rate=0.05),
    }
    for name, result in results.items():
        assert result["top1"] > 0.8, name
    for variable, value in zip(backbone.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)
    assert all(v.trainable for v in backbone.trainable_variables)


def test_the_linear_probe_trains_only_its_own_layer(backbone):
    """A backbone without information stays useless for the probe, but fine-tuning repairs it."""
    for variable in backbone.trainable_variables:
        if "kernel" in variable.path:
            variable.assign(1e-3 * ops.ones(variable.shape))  # all colours give the same features
    train, test = (
        in_batches(*make_images(120, 0)),
        in_batches(*make_images(120, 1)),
    )
    probe = evaluation.linear_probe_on_images(backbone, train, train, test, epochs=4)
    tuned = evaluation.fine_tune(backbone, train, test, epochs=12, learning_rate=0.05)
    assert probe["top1"] < 0.55
    assert tuned["top1"] > probe["top1"] + 0.1


def test_training_batches_of_unknown_length_are_refused(backbone):
    train = in_batches(*make_images(32, 0))
    with pytest.raises(ValueError, match=r"`train_batches` must .*Received: <list_iterator"):
        evaluation.linear_probe_on_images(backbone, iter(train), train, train)


def test_few_labels_draws_the_same_share_of_each_class_for_each_seed():
    labels, drawn = np.repeat([0, 1, 2], [100, 200, 300]), []

    def accuracy_of(rows, seed):
        drawn.append((np.bincount(labels[rows]).tolist(), seed, rows.tolist()))
        return {"top1": 0.1 * seed}

    found = evaluation.few_labels(labels, accuracy_of, fractions=[0.01, 0.1], seeds=[1, 3])
    assert [counts for counts, _, _ in drawn] == [[1, 2, 3]] * 2 + [[10, 20, 30]] * 2
    assert [seed for _, seed, _ in drawn] == [1, 3, 1, 3]
    assert drawn[0][2] != drawn[1][2]
    assert found[0.1]["top1"] == pytest.approx([0.1, 0.3])
    assert found[0.1]["mean"] == pytest.approx(0.2)
    assert found[0.1]["std"] == pytest.approx(0.1 * 2**0.5)
    with pytest.raises(ValueError, match=r"`seeds`.*Received: seeds=\[\]"):
        evaluation.few_labels(labels, accuracy_of, seeds=[])


def test_rare_classes_have_equal_weight_and_the_bank_is_balanced():
    # The bank has class 0 a hundred times at (1, 0), and the rare classes 1 and 2 once each.
    bank = np.array([[1.0, 0.0]] * 100 + [[0.0, 1.0], [0.6, 0.8]])
    classes = np.repeat([0, 1, 2], [100, 1, 1])
    features = np.array([[1.0, 0.1]] * 8 + [[0.1, 1.0]] * 2 + [[0.1, 1.0], [0.6, 0.8]])
    labels = np.repeat([0, 1, 2], [8, 2, 2])
    found = evaluation.unbalanced_accuracy(bank, classes, features, labels, rare_classes=[1, 2])
    assert found["per_class"] == {0: 1.0, 1: 1.0, 2: 0.5}
    assert found["all"] == pytest.approx(2.5 / 3)
    assert found["rare"] == pytest.approx(0.75)
    # All three rows of the balanced bank vote once, and class 0 has no more votes than the others.
    votes = evaluation.unbalanced_accuracy(bank, classes, features, labels, [1, 2], k=3)
    assert votes["per_class"] == {0: 1.0, 1: 0.0, 2: 0.0}
    with pytest.raises(ValueError, match=r"`rare_classes`.*missing \[5\]"):
        evaluation.unbalanced_accuracy(bank, classes, features, labels, rare_classes=[5])
    with pytest.raises(ValueError, match=r"`per_class`.*Received: per_class=2"):
        evaluation.unbalanced_accuracy(bank, classes, features, labels, [1], per_class=2)


VALID = {
    "train_features": np.eye(4, dtype="float32"),
    "train_labels": np.array([0, 1, 0, 1]),
    "features": np.eye(4, dtype="float32")[:2],
    "labels": np.array([0, 1]),
}


@pytest.mark.parametrize(
    "protocol", [evaluation.knn_accuracy, evaluation.linear_probe, evaluation.logistic_regression]
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.full((2, 4), np.nan)}, "`features` must.*Received: .*row 0"),
        ({"train_features": np.zeros((0, 4)), "train_labels": []}, r"`train_features`.*\(0, 4\)"),
        ({"train_labels": None}, "`train_labels`.*Received: None"),
        ({"labels": np.array([0.0, 1.0])}, "`labels`.*float64"),
        ({"labels": np.array([0, -1])}, "`labels`.*label -1 of row 1"),
        ({"labels": np.array([0, 9])}, r"`labels`.*Received: .*\[9\]"),
        ({"features": np.ones((2, 3))}, "width.*Received: .*'features': 3"),
    ],
)
def test_each_protocol_refuses_invalid_input(protocol, change, message):
    with pytest.raises(ValueError, match=message):
        protocol(**{**VALID, **change})


def test_a_class_with_a_single_image_is_never_held_out():
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    random = np.random.RandomState(0)
    labels = np.array([0] * 10 + [1] * 10 + [2])
    features = 3 * np.eye(3)[labels] + 0.1 * random.randn(21, 3)
    found = evaluation.logistic_regression(features, labels, features, labels)
    assert found["per_class"][2] == 1.0
    with pytest.raises(ValueError, match=r"`train_labels`.*Received: 2 images of 2 classes"):
        evaluation.logistic_regression(np.eye(2), [0, 1], np.eye(2), [0, 1])
    one = evaluation.logistic_regression(np.eye(2), [0, 1], np.eye(2), [0, 1], strengths=(1e-4,))
    assert one["top1"] == 1.0
    for held_out in (0, 1.0):
        with pytest.raises(ValueError, match=r"`held_out` must.*Received: held_out="):
            evaluation.logistic_regression(features, labels, features, labels, held_out=held_out)
