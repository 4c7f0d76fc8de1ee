import csv

import keras
import numpy as np
import pytest
from keras import ops

from keras_isd.callbacks import KNNEvaluation, LinearProbe
from keras_isd.evaluation import extract_features, knn_accuracy, linear_probe
from tests.support import golden

random = np.random.RandomState(0)
LABELS = random.randint(0, 3, 90)
IMAGES = (np.eye(3)[LABELS][:, None, None] + 0.4 * random.randn(90, 8, 8, 3)).astype("float32")
TRAIN = [(IMAGES[i : i + 20], LABELS[i : i + 20]) for i in (0, 20, 40)]
VALIDATION = [(IMAGES[60:75], LABELS[60:75]), (IMAGES[75:], LABELS[75:])]


def fit(*callbacks, epochs=5):
    model = golden.golden_model("isd_plus")
    views, labels = golden.Trajectory("isd_plus").flat_views()
    history = model.fit(
        views, labels, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks
    )
    return model, history.history


@pytest.mark.parametrize(
    ("callback", "accuracy"),
    [
        (KNNEvaluation(TRAIN, VALIDATION, k=3), lambda b, q: knn_accuracy(*b, *q, k=3)),
        (
            LinearProbe(TRAIN, VALIDATION, epochs=8, batch_size=5),
            lambda b, q: linear_probe(*b, *q, epochs=8, drop_epochs=(4, 6), batch_size=5),
        ),
    ],
)
def test_logs_have_the_accuracies_of_student_and_teacher(callback, accuracy):
    model, history = fit(callback, epochs=2)
    for network in ("student", "teacher"):
        backbone = getattr(model, f"{network}_backbone")
        bank, queries = (
            extract_features(backbone, part, verbose=0)[:2] for part in (TRAIN, VALIDATION)
        )
        values = history[f"{callback.prefix}_{network}"]
        assert len(values) == 2
        assert values[-1] == accuracy(bank, queries)["top1"]
        assert 0.5 < values[-1] <= 1


def test_evaluation_does_not_change_the_run():
    plain, expected = fit()
    evaluated, history = fit(KNNEvaluation(TRAIN, VALIDATION, k=3))
    assert history["loss"] == expected["loss"]
    for one, other in zip(evaluated.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


@pytest.mark.filterwarnings("ignore:Can save best model only")  # not in each epoch
def test_the_first_the_last_and_every_nth_epoch_are_measured_and_logged_for_other_callbacks(
    tmp_path,
):
    seen = []
    others = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append((epoch, "knn_teacher" in logs))
        ),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "best.weights.h5", "knn_teacher", save_best_only=True, mode="max",
            save_weights_only=True,
        ),
    ]  # fmt: skip
    knn = KNNEvaluation(TRAIN, VALIDATION, every_n_epochs=2, networks="teacher", k=3)
    _, history = fit(knn, *others)
    assert seen == [(0, True), (1, True), (2, False), (3, True), (4, True)]
    assert len(history["knn_teacher"]) == 4
    assert "knn_student" not in history
    with open(tmp_path / "log.csv") as file:
        column = [row["knn_teacher"] for row in csv.DictReader(file)]
    assert [value != "NA" for value in column] == [True, True, False, True, True]
    assert (tmp_path / "best.weights.h5").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every_n_epochs": 0}, "`every_n_epochs` must be at least 1. Received: every_n_epochs=0"),
        ({"networks": "predictor"}, "`networks` must be among.*Received: networks=.'predictor'"),
        ({"networks": ()}, "`networks` must be among"),
    ],
)
def test_bad_arguments_are_named_in_the_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        KNNEvaluation(TRAIN, VALIDATION, **arguments)


@pytest.mark.parametrize("callback", [KNNEvaluation, LinearProbe])
def test_unusable_labels_raise_an_error_before_the_first_step(callback):
    steps = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    strangers = [(IMAGES[60:75], LABELS[60:75] + 3)]
    with pytest.raises(ValueError, match=r"`labels` must .*`train_labels`.*Received: 3 other"):
        fit(callback(TRAIN, strangers), count)
    with pytest.raises(ValueError, match=r"`labels` must .*Received: None"):
        fit(callback(TRAIN, [IMAGES[60:75]]), count)
    with pytest.raises(ValueError, match=r"`k` must .*Received: k=61"):
        fit(KNNEvaluation(TRAIN, VALIDATION, k=61), count)
    assert steps == []
