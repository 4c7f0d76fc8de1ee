"""A batch split among several devices trains as on one device."""

import keras
import numpy as np
import pytest

from tests.support import golden
from tests.support.processes import run_python

SCRIPT = "tests.support.replicas_script"

BACKEND = keras.backend.backend()
CASES = {
    # Number of devices, whether the queue is split, and the arguments of the run. 61 and 40 anchors
    # are no multiple of the keys of a step. The last batch of 87 images has 7: 3 or 4 for each of
    # two devices, 1 or 2 for each of four. "moco" is symmetric: each image has two keys.
    "tensorflow": [
        (2, False, (87, 8, 61)),
        (4, False, (87, 8, 61)),
        (2, False, (87, 8, 61, "moco")),
        (2, False, (88, 8, 61, "msf")),
        (2, False, (88, 8, 61, "several")),
    ],
    "jax": [
        (2, False, (88, 8, 61)),
        (4, True, (96, 16, 40)),
        (2, True, (96, 16, 40, "moco")),
        (2, True, (96, 16, 40, "msf")),
        (2, True, (96, 16, 40, "several")),
        *(
            pytest.param(*case, marks=pytest.mark.nightly)
            for case in [
                (4, False, (88, 8, 61)),
                (8, False, (88, 8, 61)),
                (2, True, (96, 16, 40)),
                (8, True, (96, 16, 40)),
                (2, False, (88, 8, 61, "msf")),
            ]
        ),
    ],
    "torch": [],
}
FULL_STEPS = 10
pytestmark = [
    pytest.mark.slow,
    pytest.mark.every_backend,
    pytest.mark.skipif(BACKEND == "torch", reason="Keras uses one device on PyTorch"),
]


def arguments(images, batch_size, queue_size, model="isd_r18"):
    sizes = (f"--images={images}", f"--batch_size={batch_size}", f"--queue_size={queue_size}")
    return (*sizes, f"--model={model}")


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    runs = {}

    def run(*sizes):
        if sizes not in runs:
            out = tmp_path_factory.mktemp("one") / "run.npz"
            run_python("-m", SCRIPT, out, *arguments(*sizes))
            runs[sizes] = np.load(out)
        return runs[sizes]

    return run


@pytest.mark.parametrize(("devices", "split", "sizes"), CASES[BACKEND])
def test_several_devices_equal_one(one_device, devices, split, sizes, tmp_path):
    out = tmp_path / "run.npz"
    split = ["--split_queue"] if split else []
    run_python(
        "-m",
        SCRIPT,
        out,
        f"--devices={devices}",
        *split,
        *arguments(*sizes),
    )
    expected = one_device(*sizes)
    with np.load(out) as found:
        assert len(found["losses"]) == -(-sizes[0] // sizes[1])
        # For an uneven batch Keras logs the mean of the replicas' means; logs of epochs are right.
        losses = (found["losses"][:FULL_STEPS], expected["losses"][:FULL_STEPS])
        np.testing.assert_allclose(*losses, rtol=0, atol=1e-4)
        for name in [name for name in expected if name.startswith("logs/")]:
            # Rounding in training changes the student a little, which validation measures.
            atol = 1e-2 if "val_" in name else 1e-4
            np.testing.assert_allclose(found[name], expected[name], atol=atol, err_msg=name)
        for name in [name for name in found if name.count("/") > 1]:
            original, device = name.rsplit("/", 1)
            assert int(device) < devices
            # Each device has the whole state, with every key in its place. Different rounding can
            # open or close a ReLU of the student, as a change of one bit in the images can.
            atol = 1e-3 if name.startswith(("student", "predictor")) else 1e-4
            np.testing.assert_allclose(found[name], expected[f"{original}/0"], 1e-4, atol)
            np.testing.assert_array_equal(found[name], found[f"{original}/0"])
        embeddings = [name for name in found if "queue/embeddings" in name]
        assert len(embeddings) == (1 if split else devices)


@pytest.mark.skipif(BACKEND != "jax", reason="JAX creates large variables on its devices")
@pytest.mark.parametrize("split", [True, False])
def test_a_queue_of_a_quarter_of_a_gibibyte_is_created_on_the_devices(split):
    code = f"""
import keras, numpy as np
from tests.support import replicas_script
with replicas_script.jax_scope(2, {split}):
    import keras_isd
    queue = keras_isd.MemoryQueue(131072, 512, name="queue")
    lengths = keras.ops.convert_to_numpy(keras.ops.norm(queue.embeddings.value, axis=1))
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)
"""
    run_python("-c", code)


def test_batches_that_leave_a_device_without_images_are_rejected(tmp_path):
    # The last batch of 85 images has 5: on TensorFlow four devices get 2, 2, 1 and 0.
    with pytest.raises(AssertionError, match=r"ValueError: .*\n?.*Received: .*5"):
        run_python("-m", SCRIPT, tmp_path / "out", "--devices=4", "--images=85")


@pytest.mark.parametrize(
    "call",
    [
        "model.fit(views(24), batch_size=8, validation_split=0.45)",  # 13, the last batch 5
        "model.fit(views(24), batch_size=8, validation_data=(views(5),))",
        "model.evaluate(views(21), batch_size=8)",
        "model.predict(views(21)['query'], batch_size=8)",
        "model.fit(Batches(views(21), 8))",
    ],
)
def test_such_batches_are_rejected_by_every_method(call):
    code = f"""
import keras, numpy as np
from tests.support import golden, replicas_script

class Batches(keras.utils.PyDataset):
    def __init__(self, views, size):
        super().__init__()
        self.views, self.size = views, size
    def __len__(self):
        return -(-len(self.views["query"]) // self.size)
    def __getitem__(self, i):
        return ({{k: v[i * self.size:][:self.size] for k, v in self.views.items()}},)

def views(count):
    return {{name: np.zeros((count, 8, 8, 3), "float32") for name in ("query", "key")}}

with replicas_script.{BACKEND}_scope(4, False):
    model = golden.golden_model("isd_plus")
    assert np.isfinite(model.evaluate(Batches(views(16), 8), verbose=0))[0]
    try:
        {call}
    except ValueError as error:
        print(error)
"""
    found = run_python("-c", code)
    assert "Received: " in found
    assert "5" in found.split("Received: ")[1]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="one program draws for all devices of JAX")
def test_replicas_make_the_same_views_as_one_device():
    code = """
import numpy as np, tensorflow as tf
from keras_isd import augmentation
from keras_isd.layers import TwoViews
from tests.support import replicas_script

images = np.random.RandomState(0).randint(0, 256, (7, 12, 12, 3)).astype("float32")
strong, weak = augmentation.strong(8, blur=0), augmentation.weak(8)
with replicas_script.tensorflow_scope(2):
    strategy = tf.distribute.get_strategy()
    layer = TwoViews(strong, weak, seed=3)
    parts = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(np.split(images, [4])[context.replica_id_in_sync_group]))
    made = tf.function(lambda part: layer(part, training=True)["query"], reduce_retracing=True)
    found = strategy.run(made, [parts])
    found = np.concatenate([x.numpy() for x in strategy.experimental_local_results(found)])
expected = TwoViews(strong, weak, seed=3)(images, training=True)["query"].numpy()
np.testing.assert_allclose(found, expected, atol=1e-4)
"""
    run_python("-c", code)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="one program sees all rows on JAX")
@pytest.mark.parametrize("sizes", [(4, 4), (4, 3)])  # of static and of unknown shape
def test_every_replica_gathers_the_rows_of_all_in_order(sizes):
    code = f"""
import numpy as np, tensorflow as tf
from keras_isd import backend
from tests.support import replicas_script

rows = np.arange({sum(sizes)} * 3, dtype="float32").reshape(-1, 3)
labels = -np.arange({sum(sizes)}, dtype="int32")
with replicas_script.tensorflow_scope(2):
    strategy = tf.distribute.get_strategy()
    def parts(x):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(np.split(x, [4])[context.replica_id_in_sync_group]))
    def gather(x):
        if {len(set(sizes)) > 1}:
            x = tf.raw_ops.PlaceholderWithDefault(input=x, shape=[None, *x.shape[1:]])
        return backend.all_gather(x)
    run = tf.function(lambda: [strategy.run(gather, [parts(x)]) for x in (rows, labels)])
    found = run()
    for values, expected in zip(found, (rows, labels)):
        for value in strategy.experimental_local_results(values):
            np.testing.assert_array_equal(value, expected)
"""
    run_python("-c", code)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX compiles a step for many devices too")
@pytest.mark.parametrize(
    "arguments",
    [
        "optimizer=keras.optimizers.LossScaleOptimizer("
        "keras_isd.optimizers.SGD(0.1, gradient_accumulation_steps=2))",
        "jit_compile=True",
        "steps_per_execution=2",
        "optimizer=keras_isd.optimizers.SGD(0.1, gradient_accumulation_steps=2)",
    ],
)
def test_options_that_keras_lacks_on_several_replicas_are_rejected(arguments):
    code = f"""
import keras, keras_isd, tensorflow as tf
from tests.support import golden
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    try:
        golden.golden_model("isd_plus").compile({arguments})
    except ValueError as error:
        print(error)
"""
    assert "` under MirroredStrategy: remove it. Received: {" in run_python("-c", code)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="strategies are TensorFlow's")
@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("distributed", [False, True])
def test_a_strategy_of_any_size_takes_distributed_and_other_data_sets(devices, distributed):
    code = f"""
import tensorflow as tf
from tests.support import golden, replicas_script
views, labels = golden.Trajectory("isd_plus").flat_views()
with replicas_script.tensorflow_scope({devices}):
    dataset = tf.data.Dataset.from_tensor_slices((views, labels)).batch(8)
    model = golden.golden_model("isd_plus", synchronized_batch_norm=True)
    if {distributed}:
        dataset = tf.distribute.get_strategy().experimental_distribute_dataset(dataset)
    print(model.fit(dataset, epochs=1, verbose=0).history["loss"][0])
"""
    loss = float(run_python("-c", code).split()[-1])
    assert loss == pytest.approx(golden.Trajectory("isd_plus").losses.mean(), rel=1e-4)


def test_the_error_of_a_non_finite_loss_names_the_step():
    code = f"""
import keras_isd, numpy as np
from tests.support import golden, replicas_script
with replicas_script.{BACKEND}_scope(*{(2,) if BACKEND == "tensorflow" else (2, False)}):
    views, _ = golden.Trajectory("isd_plus").flat_views()
    views["query"][19] = np.nan
    try:
        golden.golden_model("isd_plus").fit(views, batch_size=8, shuffle=False)
    except FloatingPointError as error:
        print(error)
"""
    assert "training step 3 (the first is 1) is not finite" in run_python("-c", code)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="strategies are TensorFlow's")
def test_images_of_a_data_set_made_under_a_strategy_are_in_memory_once():
    code = """
import numpy as np, tensorflow as tf
from keras_isd import augmentation, data
from tests.support import replicas_script

images = np.random.RandomState(0).randint(0, 256, (8, 8, 8, 3)).astype("uint8")
source, view = data.from_arrays(images), augmentation.weak(8)
with replicas_script.tensorflow_scope(2):
    batches = data.two_view_dataset(source, view, view, batch_size=4, seed=0)
    first = next(iter(batches))["query"]
print(type(source._storage._variable()).__name__)
expected = next(iter(data.two_view_dataset(source.subset(range(8)), view, view, 4, seed=0)))
np.testing.assert_array_equal(first, expected["query"])
"""
    assert run_python("-c", code).strip() == "ResourceVariable"
