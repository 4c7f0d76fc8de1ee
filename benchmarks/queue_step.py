"""What a whole training step pays for a queue of 131,072 anchors of 512 numbers.

    KERAS_BACKEND=jax python benchmarks/queue_step.py

Interleaved in one process, medians over the rounds:

- `products`: the three matrix products that the loss cannot do without (two similarities, one
  gradient), compiled where the backend compiles.
- `step, K`: a whole step of a model whose networks cost next to nothing, so what is left is the
  loss, the write to the queue and the guard against a loss that is not finite.
- `step, 64`: the same model with a queue of 64 anchors: what the step costs without its queue.

The price of the queue beyond its products is `step, K` - `step, 64` - `products`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import time

import keras
import numpy as np
from absl import app, flags
from keras import layers, ops
from step_times import fit_seconds, random_views

import keras_isd

ANCHORS = flags.DEFINE_integer("anchors", 131_072, "Size of the queue.")
DIM = flags.DEFINE_integer("dim", 512, "Width of an embedding.")
BATCH = flags.DEFINE_list("batch", ["16", "256"], "Batch sizes.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "Timed rounds, after two that are not counted.")


def make_step(anchors, dim, batch, jit_compile):
    """Function that makes one training step, whose networks are one small dense layer."""
    images = keras.Input((2, 2, 3))
    backbone = keras.Model(images, layers.Dense(dim)(layers.Flatten()(images)))
    model = keras_isd.ISDModel(backbone, queue_size=anchors)
    model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9), jit_compile=jit_compile)
    views = random_views(batch, 2, 2, 3)

    return lambda count: fit_seconds(model, (views,), count)


def make_products(anchors, dim, batch):
    bank = ops.convert_to_tensor(np.random.rand(anchors, dim).astype("float32"))
    query, key = (ops.convert_to_tensor(np.random.rand(batch, dim), "float32") for _ in "qk")

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

    def seconds(count):
        times = []
        for _ in range(count):
            start = time.perf_counter()
            float(products(query, key, bank))
            times.append(time.perf_counter() - start)
        return times

    return seconds


def main(_):
    jits = {"tensorflow": (False, True), "jax": (True,), "torch": (False,)}
    backend = keras.backend.backend()
    print(f"{backend}, K = {ANCHORS.value:,}, D = {DIM.value}, milliseconds (medians)")
    print(
        f"{'batch':>6}{'compiled':>10}{'products':>10}{'step, K':>10}{'step, 64':>10}{'beyond':>10}"
    )
    for batch in map(int, BATCH.value):
        for jit_compile in jits[backend]:
            parts = {
                "products": make_products(ANCHORS.value, DIM.value, batch),
                "step, K": make_step(ANCHORS.value, DIM.value, batch, jit_compile),
                "step, 64": make_step(64, DIM.value, batch, jit_compile),
            }
            times = {name: [] for name in parts}
            for round_ in range(ROUNDS.value + 2):
                for name, run in parts.items():
                    seconds = run(2)
                    if round_ >= 2:
                        times[name] += seconds
            medians = {name: 1000 * statistics.median(values) for name, values in times.items()}
            beyond = medians["step, K"] - medians["step, 64"] - medians["products"]
            row = "".join(f"{value:>10.1f}" for value in (*medians.values(), beyond))
            print(f"{batch:>6}{jit_compile!s:>10}{row}", flush=True)


if __name__ == "__main__":
    app.run(main)
