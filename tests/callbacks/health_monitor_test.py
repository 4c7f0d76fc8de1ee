import keras
import numpy as np
import pytest
from keras import ops

import keras_isd
from keras_isd.callbacks import HealthMonitor
from keras_isd.callbacks.health_monitor import signs_of_collapse
from keras_isd.evaluation import effective_rank

load_digits = pytest.importorskip("sklearn.datasets", reason="digits to learn from").load_digits


def run(seed=0, predictor=True, learning_rate=0.05, temperatures=(0.04, 0.1), epochs=2, **kwargs):
    """Trains on 1,200 handwritten digits; returns the monitor and the history."""
    keras.utils.set_random_seed(seed)
    digits = load_digits().images[:1200].reshape(-1, 8, 8, 1) / 16
    random = np.random.RandomState(seed)
    views = {
        name: np.roll(digits, random.randint(-1, 2), axis=1)
        * (1 + 0.3 * random.randn(1200, 1, 1, 1))
        + 0.2 * random.randn(*digits.shape)
        for name in ("query", "key")
    }
    model = keras_isd.ISDModel(
        keras_isd.backbones.ConvNet((8, 8, 1), filters=(32, 64)),
        projector=keras_isd.heads.mlp(64, 128, 32, name="projector"),
        predictor=keras_isd.heads.mlp(32, 128, 32, name="predictor") if predictor else None,
        queue_size=kwargs.pop("queue_size", 700),
        teacher_temperature=temperatures[0],
        student_temperature=temperatures[1],
    )
    model.compile(keras_isd.optimizers.SGD(learning_rate, momentum=0.9, weight_decay=1e-4))
    monitor = HealthMonitor(**kwargs)
    history = model.fit(views, batch_size=100, epochs=epochs, verbose=0, callbacks=[monitor])
    return monitor, history.history


@pytest.mark.parametrize("seed", [0, 1])
def test_a_healthy_run_is_never_reported_as_collapsed(seed):
    monitor, history = run(seed, epochs=6)
    assert history["collapsed"] == [0.0] * 6
    assert monitor.findings == []
    assert history["queue_filled"] == [1.0] * 6
    assert all(10 < rank <= 32 for rank in history["effective_rank"])


@pytest.mark.parametrize(
    "fault",
    [
        {"temperatures": (0.1, 0.04), "predictor": False, "learning_rate": 5.0},
        {"learning_rate": 20.0},
    ],
)
def test_a_collapse_is_reported_within_two_epochs_and_stops_the_run_if_asked(fault):
    monitor, history = run(**fault, epochs=4, stop_on_collapse=True)
    assert len(history["loss"]) <= 2
    assert history["collapsed"][-1] == 1.0
    [(epoch, sentence)] = monitor.findings
    assert epoch == len(history["loss"])
    assert "collapsed" in sentence
    assert "learning rate" in sentence


def test_a_collapsed_run_continues_by_default():
    monitor, history = run(learning_rate=20.0, epochs=4)
    assert len(history["loss"]) == 4
    assert len(monitor.findings) == 1  # reported once


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"temperatures": (1e-4, 0.1)}, "nearly one-hot"),
        ({"temperatures": (5.0, 0.1)}, "near uniform"),
        ({"queue_size": 100_000, "epochs": 5}, "6% of the queue"),
    ],
)
def test_minor_problems_are_reported_with_remedies(fault, word):
    monitor, _ = run(**fault)
    [(_, sentence)] = monitor.findings
    assert word in sentence
    assert "Common remed" in sentence


def test_rank_by_hand():
    assert effective_rank(np.eye(4)) == pytest.approx(4)
    assert effective_rank(np.ones((5, 3))) == pytest.approx(1)
    # Singular values 3 and 1: exp of the entropy of (3/4, 1/4)
    expected = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert effective_rank(np.diag([3.0, 1.0])) == pytest.approx(expected)


def test_signs_by_hand():
    # The healthy spread of 16 numbers is 0.25; log(100) is 4.605.
    good = {"embedding_std": 0.2, "effective_rank": 9.0, "teacher_entropy": 3.0}

    def signs(**change):
        return len(list(signs_of_collapse({**good, **change}, 16, 100)))

    assert signs() == 0
    assert signs(embedding_std=0.0126) == 0
    assert signs(embedding_std=0.0124) == 1
    assert signs(effective_rank=1.4) == 1
    assert signs(teacher_entropy=4.6) == 0  # only a high temperature
    assert signs(teacher_entropy=4.6, embedding_std=0.026) == 0
    assert signs(teacher_entropy=4.6, embedding_std=0.024) == 1
    assert len(list(signs_of_collapse({"embedding_std": 0.001}, 16, None))) == 1  # without a queue


def test_the_newest_keys_are_measured():
    queue = keras_isd.MemoryQueue(size=5, dim=2)
    keys = np.arange(14.0).reshape(7, 2).astype("float32")
    for rows in (keys[:4], keys[4:]):
        queue.enqueue(rows)
    found = HealthMonitor(rows=3)._recent_keys(queue, int(queue.filled))
    np.testing.assert_array_equal(found, keys[4:])
    assert ops.shape(queue.embeddings)[0] == 5
