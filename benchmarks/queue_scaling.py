"""What the loss costs as the queue grows: seconds and memory, at once and in blocks.

    KERAS_BACKEND=jax python benchmarks/queue_scaling.py --sizes=4096,131072,1048576

Each case runs in a process of its own, so that its peak memory is its own: what the process holds
at most, less what it held with the queue in memory and before the first loss. Forms take turns, and
the median over the rounds is printed, as Markdown. A step's loss and its gradient for the queries
are computed; the networks are left out.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

SIZES = flags.DEFINE_list("sizes", ["4096", "16384", "65536", "131072"], "Anchors in the queue.")
BLOCKS = flags.DEFINE_list("blocks", ["0", "2048"], "Anchors of a block; 0: all at once.")
BATCH = flags.DEFINE_integer("batch", 256, "Queries.")
DIM = flags.DEFINE_integer("dim", 512, "Width of an embedding.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Processes for each case.")
REPEATS = flags.DEFINE_integer("repeats", 5, "Losses that a process is timed for, after two more.")
CASE = flags.DEFINE_string("case", None, "SIZE,BLOCK: measure this one, in this process.")


def compiled_loss(block_size):
    """Of queries, keys and anchors the mean loss and its gradient, compiled as a step would be."""
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


def mebibytes(what):
    """ "VmRSS", what this process holds, or "VmHWM", the most that it held (Linux)."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(what)]
    return int(line.split()[1]) / 2**10


def measure(size, block_size):
    import keras
    import numpy as np

    random = np.random.default_rng(0)

    def unit(rows):
        x = random.standard_normal((rows, DIM.value), "float32")
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        return x

    inputs = [keras.ops.convert_to_tensor(unit(n)) for n in (BATCH.value, BATCH.value, size)]
    step = compiled_loss(block_size or size)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the most held is from now on
    before, seconds = mebibytes("VmRSS"), []
    for _ in range(2 + REPEATS.value):
        start = time.perf_counter()
        for result in step(*inputs):
            keras.ops.convert_to_numpy(result)
        seconds.append(time.perf_counter() - start)
    result = {"seconds": statistics.median(seconds[2:]), "mebibytes": mebibytes("VmHWM") - before}
    print(json.dumps(result))


def in_own_process(size, block_size):
    own = [f"--{f}={flags.FLAGS[f].value}" for f in ("batch", "dim", "repeats")]
    done = subprocess.run(
        [sys.executable, __file__, f"--case={size},{block_size}", *own],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"seconds": float("nan"), "mebibytes": float("nan")}  # out of memory, say
    return json.loads(done.stdout.splitlines()[-1])


def main(_):
    if CASE.value:
        measure(*map(int, CASE.value.split(",")))
        return
    cases = [(int(size), int(block)) for size in SIZES.value for block in BLOCKS.value]
    found = {case: [] for case in cases}
    for _ in range(ROUNDS.value):
        for case in cases:
            found[case].append(in_own_process(*case))
    print(f"{os.environ.get('KERAS_BACKEND', 'tensorflow')}, {BATCH.value} queries")
    print("| anchors | blocks of | ms | microseconds an anchor | MiB beyond the queue |")
    print("| --- | --- | --- | --- | --- |")
    for (size, block), results in found.items():
        seconds = statistics.median(r["seconds"] for r in results)
        held = statistics.median(r["mebibytes"] for r in results)
        block = f"{block:,}" if block else "all"
        each = 1e6 * seconds / size
        print(f"| {size:,} | {block} | {1e3 * seconds:,.0f} | {each:.2f} | {held:,.0f} |")


if __name__ == "__main__":
    app.run(main)
