"""Measures how seconds and memory of a training step grow with queue, batch and devices.

    KERAS_BACKEND=jax python benchmarks/scaling.py --measure=growth --figures=docs/figures
    KERAS_BACKEND=jax python benchmarks/scaling.py --measure=loss --anchors=4096,131072,1048576
    KERAS_BACKEND=jax python benchmarks/scaling.py --measure=queue
    KERAS_BACKEND=jax python benchmarks/scaling.py --measure=views

`growth`: milliseconds of a step and peak memory of the process, as Markdown and figures.

- `queue`: a network of one small dense layer, 64 images of 2 by 2 pixels, anchors of 128 numbers,
  stored as float32, as bfloat16 and, on JAX, as float32 split over four devices. Large queues are
  read in blocks, as a model does by default.
- `batch`: a small ConvNet on images of 32 pixels, 4,096 anchors of 128 numbers.
- `devices`: the same, its batch split over logical devices of this machine (JAX, TensorFlow).
  Together they have the cores of one device, so this measures the cost of the split, not its gain.

`loss`: a step's loss and its gradient for the queries, without networks, over all anchors at once
and in blocks. Memory is the peak while losses are computed, after compilation, less the memory
with the queue before the first loss.

`queue`: a whole step with a large queue, medians of interleaved rounds in one process:

- `products`: the three matrix products that the loss needs (two similarities, one gradient),
  compiled if the backend compiles.
- `step, K`: a whole step of a model whose networks take almost no time: the loss, the write to the
  queue and the guard against a loss that is not finite remain.
- `step, 64`: the same model with 64 anchors: the step without its queue.

The cost of the queue in addition to its products is `step, K` - `step, 64` - `products`.

`views`: whole steps of the ConvNet of RESULTS.md on views of 32 pixels in the batch, with more
views of each image, as `queue` interleaved in one process: the time of a second query and of a
small view of half the side, and their ratio.

In `growth` and `loss` each case is a process of its own, and they take turns.
"""

import os
import pathlib
import statistics

from absl import app, flags
from measured_process import MeasuredProcess, serve, take_turns, timed
from step_setting import (
    device_scope,
    fit_seconds,
    make_logical_devices,
    random_views,
    split_queue_scope,
)

MEASURE = flags.DEFINE_enum("measure", "growth", ["growth", "loss", "queue", "views"], "See above.")
PLOTS = flags.DEFINE_list("plots", ["queue", "batch", "devices"], "Plots of `growth`.")
ANCHORS = flags.DEFINE_list("anchors", None, "Sizes of the queue.")
BATCHES = flags.DEFINE_list("batches", None, "Sizes of the batch.")
DEVICES = flags.DEFINE_list("devices", ["1", "2", "4", "8"], "Numbers of devices, of `growth`.")
BLOCKS = flags.DEFINE_list("blocks", ["0", "2048"], "Anchors of a block, of `loss`; 0 for all.")
DIM = flags.DEFINE_integer("dim", 512, "Width of an embedding, of `loss` and `queue`.")
ROUNDS = flags.DEFINE_integer("rounds", None, "Turns of each case.")
STEPS = flags.DEFINE_integer("steps", None, "Steps or losses of a turn.")
FIGURES = flags.DEFINE_string("figures", None, "Folder for figures of `growth`, by backend.")
CASE = flags.DEFINE_string("case", None, "The measure and its numbers: serve this one case.")

DEFAULTS = {
    "growth": {
        "anchors": ["4096", "65536", "262144", "1048576", "4194304"],
        "batches": ["32", "128", "512", "2048", "4096"],
        "rounds": 3,
        "steps": 3,
    },
    "loss": {
        "anchors": ["4096", "16384", "65536", "131072"],
        "batches": ["256"],
        "rounds": 3,
        "steps": 5,
    },
    "queue": {"anchors": ["131072"], "batches": ["16", "256"], "rounds": 7, "steps": 2},
    "views": {"anchors": ["4096"], "batches": ["64"], "rounds": 7, "steps": 5},
}
SMALL_VIEWS = 4
GROWTH_DIM = 128
SPLIT_OVER = 4
WARMUP_ROUNDS = 2  # rounds of `queue` that are not counted


def value_of_flag(flag):
    """The value of a flag, or by default that of the measure."""
    return flag.value or DEFAULTS[MEASURE.value][flag.name]


def current_backend():
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def make_dense_model(anchors, dim, **kwargs):
    """ISD whose networks are one small dense layer."""
    import keras
    from keras import layers

    import keras_isd

    images = keras.Input((2, 2, 3))
    backbone = keras.Model(images, layers.Dense(dim)(layers.Flatten()(images)))
    return keras_isd.ISDModel(backbone, queue_size=anchors, **kwargs)


def growth_cases(plot):
    """Lines of a plot: dict of names to dicts of an x value to the case's arguments."""
    anchors, batches = value_of_flag(ANCHORS), value_of_flag(BATCHES)
    if plot == "batch":
        return {"": {int(b): (4096, "float32", b, 1, "batch") for b in batches}}
    if plot == "devices":
        numbers = DEVICES.value if current_backend() != "torch" else ["1"]  # Keras' limit there
        return {"": {int(n): (4096, "float32", 256, n, "devices") for n in numbers}}
    lines = {
        dtype: {int(k): (k, dtype, 64, 1, "queue") for k in anchors}
        for dtype in ("float32", "bfloat16")
    }
    if current_backend() == "jax":
        lines[f"float32, over {SPLIT_OVER} devices"] = {
            int(k): (k, "float32", 64, SPLIT_OVER, "queue") for k in anchors
        }
    return lines


def serve_growth(anchors, dtype, batch, devices, plot):
    anchors, batch, devices = int(anchors), int(batch), int(devices)
    make_logical_devices(devices)
    import keras_isd

    splits = plot == "queue" and devices > 1
    with split_queue_scope() if splits else device_scope(devices):
        if plot == "queue":
            side, model = 2, make_dense_model(anchors, GROWTH_DIM, queue_dtype=dtype)
        else:
            side, backbone = 32, keras_isd.backbones.ConvNet((32, 32, 3), (16, 32, GROWTH_DIM))
            model = keras_isd.ISDModel(backbone, queue_size=anchors, queue_dtype=dtype)
        model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9))
    views = random_views(batch, side, side, 3)
    serve(lambda count: fit_seconds(model, (views,), count))


def measure_growth(plot):
    """Lines of a plot: dict of names to dicts of an x value to milliseconds and MiB."""
    lines = {}
    for name, cases in growth_cases(plot).items():
        processes = {
            x: MeasuredProcess(__file__, f"--case=growth,{','.join(map(str, case))}")
            for x, case in cases.items()
        }
        medians = take_turns(processes, value_of_flag(ROUNDS), value_of_flag(STEPS))
        lines[name] = {x: (1e3 * medians[x], processes[x].peak) for x in cases}
        for process in processes.values():
            process.close()
    return lines


def print_growth(plot, lines):
    print(f"\n{current_backend()}: milliseconds of a step, MiB of the process\n")
    xs = list(next(iter(lines.values())))
    print(f"| {plot} | " + " | ".join(f"{x:,}" for x in xs) + " |")
    print("| --- " * (len(xs) + 1) + "|")
    for name, line in lines.items():
        cells = [f"{ms:,.0f}, {mib:,.0f}" for ms, mib in line.values()]
        print(f"| {name or 'step'} | " + " | ".join(cells) + " |", flush=True)


def draw_growth(plot, lines, folder):
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    xs = list(next(iter(lines.values())))
    figure = Figure(figsize=(8, 3), layout="constrained")
    panels = figure.subplots(1, 2)
    for index, (panel, title) in enumerate(zip(panels, ("ms a step", "MiB of the process"))):
        for name, line in lines.items():
            panel.plot(line.keys(), [values[index] for values in line.values()], "o-", label=name)
        panel.set(xscale="log", yscale="log", xlabel=plot, ylabel=title)
        panel.set_xticks(xs, [f"{x:,}" for x in xs], fontsize="small", rotation=20)
        panel.minorticks_off()
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:,.0f}")
        panel.grid(alpha=0.3)
    if len(lines) > 1:
        panels[0].legend(fontsize="small")
    figure.savefig(pathlib.Path(folder, f"growth_{plot}_{current_backend()}.png"), dpi=120)


def run_growth():
    for plot in PLOTS.value:
        lines = measure_growth(plot)
        print_growth(plot, lines)
        if FIGURES.value:
            draw_growth(plot, lines, FIGURES.value)


def compile_loss(block_size):
    """Function of queries, keys and anchors to the mean loss and its gradient, compiled."""
    import keras
    from keras import ops

    from keras_isd.losses import similarity_distillation

    def loss(query, key, anchors):
        return ops.mean(
            similarity_distillation(query, key, anchors, 0.01, 0.1, block_size=block_size).loss
        )

    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(jax.value_and_grad(loss))
    if keras.backend.backend() == "torch":
        import torch

        def step(query, key, anchors):
            query = query.detach().requires_grad_()
            value = loss(query, key, anchors)
            return value, torch.autograd.grad(value, query)

        return step
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def step(query, key, anchors):
        with tf.GradientTape() as tape:
            tape.watch(query)
            value = loss(query, key, anchors)
        return value, tape.gradient(value, query)

    return step


def serve_loss(anchors, block_size, batch, dim):
    import keras
    import numpy as np

    anchors, block_size, batch, dim = map(int, (anchors, block_size, batch, dim))
    random = np.random.default_rng(0)

    def unit_rows(rows):
        x = random.standard_normal((rows, dim), "float32")
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        return x

    inputs = [keras.ops.convert_to_tensor(unit_rows(n)) for n in (batch, batch, anchors)]
    for x in inputs:
        keras.ops.sum(x)  # an operation makes TensorFlow free the array behind the tensor
    step = compile_loss(block_size or anchors)

    def compute():
        for result in step(*inputs):
            keras.ops.convert_to_numpy(result)

    serve(timed(compute))


def run_loss():
    for batch in value_of_flag(BATCHES):
        print(f"{current_backend()}, {batch} queries")
        print("| anchors | blocks of | ms | microseconds an anchor | MiB beyond the queue |")
        print("| --- | --- | --- | --- | --- |")
        for anchors in map(int, value_of_flag(ANCHORS)):
            cases = {
                int(block): MeasuredProcess(
                    __file__, f"--case=loss,{anchors},{block},{batch},{DIM.value}"
                )
                for block in BLOCKS.value
            }
            medians = take_turns(cases, value_of_flag(ROUNDS), value_of_flag(STEPS))
            for block, seconds in medians.items():
                process = cases[block]
                cells = f"{1e3 * seconds:,.0f} | {1e6 * seconds / anchors:.2f}"
                size = f"{block:,}" if block else "all"
                print(f"| {anchors:,} | {size} | {cells} | {process.beyond:,.0f} |", flush=True)
                process.close()


def make_dense_step(anchors, batch, jit_compile):
    """Function of a count that runs training steps and returns their seconds."""
    import keras_isd

    model = make_dense_model(anchors, DIM.value)
    model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9), jit_compile=jit_compile)
    views = random_views(batch, 2, 2, 3)
    return lambda count: fit_seconds(model, (views,), count)


def make_products(anchors, batch):
    """Function of a count that computes the matrix products and returns their seconds."""
    import keras
    import numpy as np
    from keras import ops

    bank = ops.convert_to_tensor(np.random.rand(anchors, DIM.value).astype("float32"))
    query, key = (ops.convert_to_tensor(np.random.rand(batch, DIM.value), "float32") for _ in "qk")

    def products(query, key, bank):
        transposed = ops.transpose(bank)
        similarities = ops.matmul(query, transposed) - ops.matmul(key, transposed)
        return ops.sum(ops.matmul(similarities, bank))

    if keras.backend.backend() == "jax":
        import jax

        products = jax.jit(products)
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        products = tf.function(products)
    return timed(lambda: float(products(query, key, bank)))


def interleaved_medians(parts):
    """Median milliseconds of each of the functions of a count, in turns in this process."""
    times = {name: [] for name in parts}
    for round_ in range(value_of_flag(ROUNDS) + WARMUP_ROUNDS):
        for name, run in parts.items():
            seconds = run(value_of_flag(STEPS))
            if round_ >= WARMUP_ROUNDS:
                times[name] += seconds
    return {name: 1000 * statistics.median(x) for name, x in times.items()}


def make_views_step(anchors, batch, **counts):
    """Function of a count that runs steps with several views and returns their seconds."""
    import numpy as np

    import keras_isd

    backbone = keras_isd.backbones.ConvNet((32, 32, 3), (16, 32, 64, 128))
    model = keras_isd.ISDModel.from_recipe(
        "cifar_resnet18", backbone=backbone, queue_size=anchors, **counts
    )
    model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9))
    views = random_views(batch, 32, 32, 3)
    if "query_views" in counts:
        views["query"] = np.random.rand(batch, counts["query_views"], 32, 32, 3).astype("float32")
    if "small_views" in counts:
        views["small"] = np.random.rand(batch, counts["small_views"], 16, 16, 3).astype("float32")
    return lambda count: fit_seconds(model, (views,), count)


def run_views():
    print(f"{current_backend()}, milliseconds of a step (medians)")
    print(f"| batch | one query | two queries | {SMALL_VIEWS} small views | small / query |")
    print("| --- | --- | --- | --- | --- |")
    for anchors in map(int, value_of_flag(ANCHORS)):
        for batch in map(int, value_of_flag(BATCHES)):
            cases = {"one": {}, "two": {"query_views": 2}, "small": {"small_views": SMALL_VIEWS}}
            parts = {name: make_views_step(anchors, batch, **case) for name, case in cases.items()}
            one, two, small = interleaved_medians(parts).values()
            ratio = (small - one) / SMALL_VIEWS / (two - one)
            print(f"| {batch} | {one:.1f} | {two:.1f} | {small:.1f} | {ratio:.2f} |", flush=True)


def run_queue():
    jits = {"tensorflow": (False, True), "jax": (True,), "torch": (False,)}[current_backend()]
    for anchors in map(int, value_of_flag(ANCHORS)):
        print(f"{current_backend()}, K = {anchors:,}, D = {DIM.value}, milliseconds (medians)")
        titles = ("compiled", "products", "step, K", "step, 64", "beyond")
        print(f"{'batch':>6}" + "".join(f"{title:>10}" for title in titles))
        for batch in map(int, value_of_flag(BATCHES)):
            for jit_compile in jits:
                parts = {
                    "products": make_products(anchors, batch),
                    "step, K": make_dense_step(anchors, batch, jit_compile),
                    "step, 64": make_dense_step(64, batch, jit_compile),
                }
                medians = interleaved_medians(parts)
                beyond = medians["step, K"] - medians["step, 64"] - medians["products"]
                row = "".join(f"{value:>10.1f}" for value in (*medians.values(), beyond))
                print(f"{batch:>6}{jit_compile!s:>10}{row}", flush=True)


def main(_):
    if CASE.value:
        measure, *arguments = CASE.value.split(",")
        {"growth": serve_growth, "loss": serve_loss}[measure](*arguments)
    else:
        run = {"growth": run_growth, "loss": run_loss, "queue": run_queue, "views": run_views}
        run[MEASURE.value]()


if __name__ == "__main__":
    app.run(main)
