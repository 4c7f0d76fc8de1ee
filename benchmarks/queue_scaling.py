"""What the loss costs as the queue grows: seconds and memory, at once and in blocks.

    KERAS_BACKEND=jax python benchmarks/queue_scaling.py --sizes=4096,131072,1048576

Each case is a process of its own, so that its peak memory is its own: what the process holds at
most while it computes losses, once they are compiled, less what it held with the queue in memory
before the first. Forms take turns, and the median of all losses is printed, as Markdown. A step's
loss and its gradient for the queries are computed; the networks are left out.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags
from measured_process import MeasuredProcess, serve, take_turns, timed

SIZES = flags.DEFINE_list("sizes", ["4096", "16384", "65536", "131072"], "Anchors in the queue.")
BLOCKS = flags.DEFINE_list("blocks", ["0", "2048"], "Anchors of a block; 0: all at once.")
BATCH = flags.DEFINE_integer("batch", 256, "Queries.")
DIM = flags.DEFINE_integer("dim", 512, "Width of an embedding.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Turns of each case.")
REPEATS = flags.DEFINE_integer("repeats", 5, "Losses a turn.")
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


def losses(size, block_size):
    """Function that computes losses and their gradients, and gives their seconds."""
    import keras
    import numpy as np

    random = np.random.default_rng(0)

    def unit(rows):
        x = random.standard_normal((rows, DIM.value), "float32")
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        return x

    inputs = [keras.ops.convert_to_tensor(unit(n)) for n in (BATCH.value, BATCH.value, size)]
    for x in inputs:
        keras.ops.sum(x)  # with an operation TensorFlow lets go of what it copied from
    step = compiled_loss(block_size or size)

    def compute():
        for result in step(*inputs):
            keras.ops.convert_to_numpy(result)

    return timed(compute)


def main(_):
    if CASE.value:
        serve(losses(*map(int, CASE.value.split(","))))
        return
    own = [f"--{f}={flags.FLAGS[f].value}" for f in ("batch", "dim")]
    print(f"{os.environ.get('KERAS_BACKEND', 'tensorflow')}, {BATCH.value} queries")
    print("| anchors | blocks of | ms | microseconds an anchor | MiB beyond the queue |")
    print("| --- | --- | --- | --- | --- |")
    for size in map(int, SIZES.value):
        cases = {
            int(block): MeasuredProcess(__file__, f"--case={size},{block}", *own)
            for block in BLOCKS.value
        }
        for block, seconds in take_turns(cases, ROUNDS.value, REPEATS.value).items():
            process = cases[block]
            row = f"{1e3 * seconds:,.0f} | {1e6 * seconds / size:.2f} | {process.beyond:,.0f}"
            print(f"| {size:,} | {f'{block:,}' if block else 'all'} | {row} |", flush=True)
            process.close()


if __name__ == "__main__":
    app.run(main)
