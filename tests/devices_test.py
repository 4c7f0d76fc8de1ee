"""A batch shared out to several devices trains as it does on one."""

import keras
import numpy as np
import pytest

from tests.processes import run_python

BACKEND = keras.backend.backend()
CASES = {
    # Each: devices, whether the queue is split, and the rest of the run. 61 and 40 anchors are no
    # multiple of the keys of a step; of 87 images the last batch has 7, of 3 or 4 and of 1 or 2.
    "tensorflow": [(2, False, (87, 8, 61)), (4, False, (87, 8, 61))],
    "jax": [
        (2, False, (88, 8, 61)),
        (4, False, (88, 8, 61)),
        (8, False, (88, 8, 61)),
        (2, True, (96, 16, 40)),
        (4, True, (96, 16, 40)),
        (8, True, (96, 16, 40)),
    ],
    "torch": [],
}
FULL_STEPS = 10
pytestmark = pytest.mark.skipif(BACKEND == "torch", reason="Keras has one device on PyTorch")


def arguments(images, batch_size, queue_size):
    return (f"--images={images}", f"--batch_size={batch_size}", f"--queue_size={queue_size}")


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    runs = {}

    def run(*sizes):
        if sizes not in runs:
            out = tmp_path_factory.mktemp("one") / "run.npz"
            run_python("-m", "tests.replicas_script", out, *arguments(*sizes))
            runs[sizes] = np.load(out)
        return runs[sizes]

    return run


@pytest.mark.parametrize(("devices", "split", "sizes"), CASES[BACKEND])
def test_devices_together_equal_one(one_device, devices, split, sizes, tmp_path):
    out = tmp_path / "run.npz"
    split = ["--split_queue"] if split else []
    run_python(
        "-m", "tests.replicas_script", out, f"--devices={devices}", *split, *arguments(*sizes)
    )
    expected = one_device(*sizes)
    with np.load(out) as found:
        assert len(found["losses"]) == -(-sizes[0] // sizes[1])
        # Of an uneven batch Keras shows the mean of the replicas' means; an epoch's logs are right.
        losses = (found["losses"][:FULL_STEPS], expected["losses"][:FULL_STEPS])
        np.testing.assert_allclose(*losses, rtol=0, atol=1e-4)
        for name in [name for name in expected if name.startswith("logs/")]:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-4, err_msg=name)
        for name in [name for name in found if name.count("/") > 1]:
            original, device = name.rsplit("/", 1)
            assert int(device) < devices
            # Each device has it all, every key in its place. What is rounded otherwise may leave
            # a ReLU of the student open or closed: so does one bit more in the images.
            atol = 1e-3 if name.startswith(("student", "predictor")) else 1e-4
            np.testing.assert_allclose(found[name], expected[f"{original}/0"], 1e-4, atol)
            np.testing.assert_array_equal(found[name], found[f"{original}/0"])
        embeddings = [name for name in found if "queue/embeddings" in name]
        assert len(embeddings) == (1 if split else devices)


def test_batches_that_leave_a_device_without_images_are_refused(tmp_path):
    # 85 images: the last batch has 5, of which four devices get 2, 2, 1, 0 on TensorFlow.
    with pytest.raises(AssertionError, match=r"ValueError: .*\n?.*Received: .*5"):
        run_python("-m", "tests.replicas_script", tmp_path / "out", "--devices=4", "--images=85")


@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX compiles a step for many devices too")
@pytest.mark.parametrize(
    "arguments",
    [
        "jit_compile=True",
        "steps_per_execution=2",
        "optimizer=keras_isd.optimizers.SGD(0.1, gradient_accumulation_steps=2)",
    ],
)
def test_what_keras_cannot_do_on_several_replicas_is_refused(arguments):
    code = f"""
import keras_isd, tensorflow as tf
from tests import golden
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    try:
        golden.golden_model("isd_plus").compile({arguments})
    except ValueError as error:
        print(error)
"""
    assert "Under MirroredStrategy Keras cannot do with" in run_python("-c", code)
