"""Trains the golden model for a few steps in a separate process, for tests that compare runs.

`python -m tests.support.training_script OUT.npz --steps N [--load IN.keras] [--save OUT.keras]`
"""

import argparse

import keras
import numpy as np
from keras import ops

import keras_isd  # noqa: F401 (registers the classes of a saved model)
from tests.support import golden


def further_batches(first, steps):
    """Batches like the golden ones, which depend only on the number of the step."""
    for step in range(first, first + steps):
        random = np.random.RandomState(1000 + step)
        images = random.standard_normal((8, 8, 8, 3))
        views = {
            name: (images + 0.3 * random.standard_normal(images.shape)).astype("float32")
            for name in ("query", "key")
        }
        yield views, random.randint(0, 5, 8)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--load")
    parser.add_argument("--save")
    arguments = parser.parse_args()
    if arguments.load:
        model = keras.models.load_model(arguments.load)
    else:
        model = golden.golden_model("isd_plus", golden.Trajectory("isd_plus").state("final"))
    history = model.fit(
        further_batches(arguments.first, arguments.steps),
        epochs=arguments.steps,
        steps_per_epoch=1,
        shuffle=False,
        verbose=0,
    ).history
    if arguments.save:
        model.save(arguments.save)
    weights = {
        f"weight/{i:03}": ops.convert_to_numpy(weight) for i, weight in enumerate(model.weights)
    }
    np.savez(arguments.out, loss=history["loss"], purity=history["purity"], **weights)


if __name__ == "__main__":
    main()
