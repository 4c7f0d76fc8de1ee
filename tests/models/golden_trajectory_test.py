"""The training step agrees with the authors' code: twelve steps through `fit`."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_isd.losses import distillation
from tests.support import golden, torch_state

NAMES = ("isd_plus", "isd_r18", "byol", "msf")


@pytest.fixture(scope="module", params=NAMES)
def run(request):
    """(golden trajectory, model after twelve steps of fit, its history by step)."""
    keras.utils.set_random_seed(0)
    return twelve_steps(request.param)


def twelve_steps(name):
    trajectory, model = golden.Trajectory(name), golden.golden_model(name)
    # With one step per epoch the history has a value for each step.
    history = model.fit(
        trajectory.batches(), epochs=12, steps_per_epoch=1, shuffle=False, verbose=0
    ).history
    return trajectory, model, history


def test_every_loss_agrees_with_the_authors(run):
    trajectory, _, history = run
    np.testing.assert_allclose(history["loss"], trajectory.losses, rtol=1e-4)


def test_purity_agrees_with_the_authors(run):
    trajectory, _, history = run
    if trajectory.purity is None:
        pytest.skip("this script of the authors does not compute purity")
    np.testing.assert_allclose(history["purity"], trajectory.purity, atol=1e-6)


@pytest.mark.parametrize(
    "prefix", ["encoder_q", "encoder_k", "encoder_q.fc", "encoder_k.fc", "predict_q"]
)
def test_student_teacher_and_heads_agree_with_the_authors_at_the_end(run, prefix):
    trajectory, model, _ = run
    part = {p: m for m, p in golden.parts(model)}.get(prefix)
    if part is None:
        pytest.skip("this recipe has no projector")
    # Moving means and (unbiased) variances included.
    difference = torch_state.largest_difference(part, trajectory.state("final"), prefix)
    assert difference < 1e-3


def test_the_run_changed_the_weights_by_more_than_that(run):
    trajectory, model, _ = run
    initial = trajectory.state("init")
    moved = [torch_state.largest_difference(part, initial, p) for part, p in golden.parts(model)]
    assert min(moved) > 1e-3


def test_the_queue_agrees_with_the_authors_at_the_end(run):
    trajectory, model, _ = run
    final = trajectory.state("final")
    if "queue" not in final:
        pytest.skip("BYOL has no queue")
    np.testing.assert_allclose(
        ops.convert_to_numpy(model.queue.embeddings), final["queue"], atol=1e-3
    )
    assert int(model.queue.pointer.value) == final["queue_ptr"][0] == 32
    assert int(model.queue.filled.value) == 64  # 96 keys went in
    # The last 64 labels, wrapped: step 9 starts at row 0 again.
    flat = trajectory.labels.reshape(-1)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model.queue.labels), np.concatenate([flat[64:], flat[32:64]])
    )
    if "labels" in final:
        np.testing.assert_array_equal(ops.convert_to_numpy(model.queue.labels), final["labels"])


def test_a_queue_read_in_blocks_agrees_with_the_authors(monkeypatch):
    # As a queue is that is too large for a batch x queue matrix. The student's weights are not
    # compared: other rounding moves one activation across its ReLU's kink in the last step.
    monkeypatch.setattr(distillation, "STREAM_ABOVE", 0)
    monkeypatch.setattr(distillation, "BLOCK_SIZE", 24)
    trajectory, model, history = twelve_steps("isd_plus")
    np.testing.assert_allclose(history["loss"], trajectory.losses, rtol=1e-4)
    np.testing.assert_allclose(history["purity"], trajectory.purity, atol=1e-6)
    queue = ops.convert_to_numpy(model.queue.embeddings)
    np.testing.assert_allclose(queue, trajectory.state("final")["queue"], atol=1e-3)
