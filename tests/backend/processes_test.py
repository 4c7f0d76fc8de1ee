"""Operations that join the PyTorch processes of a step; PyTorch connects them, with any Keras."""

import importlib
import json
import os
import subprocess
import sys

import keras
import pytest

from tests.support import golden
from tests.support.processes import ROOT, addresses

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="other backends join processes by Keras"
)

PROCESS = """
import datetime, json, sys, numpy as np, torch, keras, keras_isd
from keras_isd import backend
rank = int(sys.argv[2])
torch.distributed.init_process_group(
    "gloo",
    init_method=f"tcp://{sys.argv[1]}",
    world_size=2,
    rank=rank,
    timeout=datetime.timedelta(minutes=5),
)
for line in sys.stdin:
    exec(json.loads(line), globals())
    sys.stdout.flush()
# A thread that still runs when the interpreter ends sometimes causes an error.
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def in_both():
    """Function that runs code in two processes and returns the line that each prints."""
    address = addresses()[0]
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, address, str(rank)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=ROOT,
            text=True,
        )
        for rank in range(2)
    ]

    def run(code):
        for process in processes:
            process.stdin.write(json.dumps(code) + "\n")
            process.stdin.flush()
        return [process.stdout.readline().strip() for process in processes]

    yield run
    for process in processes:
        process.stdin.close()
    assert [process.wait(timeout=300) for process in processes] == [0, 0]


def test_every_process_gathers_all_rows_in_order_and_knows_the_offset_of_its_own(in_both):
    code = """
rows = torch.arange(15.0).reshape(5, 3).split([2, 3])[rank]
print(backend.all_gather(rows)[:, 0].tolist(), backend.batch_offset(rows), end=" ")
print(backend.is_chief(None), backend.is_one_of_several(None))
"""
    every = "[0.0, 3.0, 6.0, 9.0, 12.0]"
    assert in_both(code) == [f"{every} (0, 5) True True", f"{every} (2, 5) False True"]


def test_every_process_reports_one_without_images_of_a_batch(in_both):
    code = """
try:
    backend.guarded_step(None, None, None, ({"query": torch.zeros(3 * rank, 2)},))
except ValueError as error:
    print(error)
"""
    assert all("Received: [0, 3] images by process" in printed for printed in in_both(code))


def test_a_sum_has_gradients_from_every_process(in_both):
    code = """
x = torch.tensor([1.0, 2.0]).mul(rank + 1).requires_grad_()
total = backend.all_sum(x)
(total[0] * (rank + 3)).backward()
print(total.tolist(), x.grad.tolist())
"""
    # 1 + 2 and 2 + 4; one process multiplies the first by 3, the other by 4
    assert in_both(code) == ["[3.0, 6.0] [7.0, 0.0]"] * 2


def test_synchronized_batch_normalization_has_the_statistics_of_the_whole_batch(in_both):
    code = """
whole = np.random.RandomState(0).standard_normal((7, 4)).astype("float32")
layer = keras_isd.BatchNormalization()
layer.build((None, 4))
model = keras.Sequential([layer])
backend.synchronize_batch_norm(model)
x = torch.tensor(np.split(whole, [4])[rank], requires_grad=True)
weights = torch.tensor(np.split(whole[::-1].copy(), [4])[rank])
(layer(x, training=True) * weights).sum().backward()

alone = torch.nn.BatchNorm1d(4)
y = torch.tensor(whole, requires_grad=True)
(alone(y) * torch.tensor(whole[::-1].copy())).sum().backward()
np.testing.assert_allclose(x.grad, y.grad.split([4, 3])[rank], atol=1e-5)
np.testing.assert_allclose(layer.moving_variance.numpy(), alone.running_var, rtol=1e-5)
np.testing.assert_allclose(layer.moving_mean.numpy(), alone.running_mean, atol=1e-6)
print("equal")
"""
    assert in_both(code) == ["equal"] * 2


def test_moving_statistics_are_the_mean_over_the_processes(in_both):
    code = """
model = keras_isd.backbones.ConvNet((4, 4, 1), filters=(2,))
model.guarded_variables = lambda: model.variables
moving_mean = model.get_layer("bn0").moving_mean

def step(batch):
    moving_mean.assign([3.0 * rank, 4.0])
    return {"loss": torch.tensor(0.0)}

backend.guarded_step(model, lambda: None, step, (torch.zeros(2, 4, 4, 1),))
print(moving_mean.numpy().tolist())
"""
    assert in_both(code) == ["[1.5, 4.0]"] * 2


def test_the_mean_of_the_gradients_is_that_of_the_whole_batch(in_both):
    """One process has 2 images, the other 4; the loss of each is that of the whole batch."""
    code = """
whole = torch.arange(1.0, 7.0)
backbone = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model = keras_isd.MomentumModel(backbone)
weight = torch.ones(1, requires_grad=True)
loss = model.mean_loss(whole.split([2, 4])[rank] * weight)
loss.backward()
torch.distributed.all_reduce(weight.grad)
print(round(float(loss), 4), round(float(weight.grad) / 2, 4))  # the mean, as PyTorch computes it
"""
    assert in_both(code) == ["3.5 3.5"] * 2


def test_processes_that_keras_does_not_join_are_rejected(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun sets it
    module = importlib.import_module("keras_isd.backend.torch")
    for joins, advice in ((False, "KERAS_BACKEND to jax or tensorflow"), (True, "initialize()")):
        monkeypatch.setattr(module, "joins_processes", lambda joins=joins: joins)
        with pytest.raises(ValueError, match="Received: WORLD_SIZE=2") as refused:
            golden.golden_model("isd_plus")
        assert advice in str(refused.value)
