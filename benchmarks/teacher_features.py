"""What a teacher's features beside the images cost: in an array, in a file, and without them.

    python benchmarks/teacher_features.py

Batches of a pipeline by tf.data of 100,000 images of 32 pixels and 1,280 features each. The three
take turns, each in a process of its own; the median is printed, as Markdown, with the most memory
that the process held beyond what it held before its pipeline was made, the images and an array of
the features.
"""

import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags
from measured_process import MeasuredProcess, serve, take_turns

IMAGES = flags.DEFINE_integer("images", 100_000, "Images, and rows of features.")
WIDTH = flags.DEFINE_integer("width", 1_280, "Numbers of a feature.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Images a batch.")
VIEW = flags.DEFINE_enum("view", "weak", ["weak", "strong"], "What else the pipeline makes.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Turns of each.")
CASE = flags.DEFINE_string("case", None, "NAME,FILE: serve this one, in this process.")
CASES = ("without", "in an array", "in a file")


def passes(name, path):
    """Function that makes whole passes over the data, and gives the seconds of a batch in each."""
    import time

    import keras_isd

    view = getattr(keras_isd.augmentation, VIEW.value)(32)
    features = {"in an array": np.load(path), "in a file": path}.get(name)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES.value, 32, 32, 3), "uint8")
    source = keras_isd.data.from_arrays(images)

    def run(count):
        size = BATCH_SIZE.value
        if features is None:
            batches = keras_isd.data.one_view_dataset(source, view, size, seed=0, shuffle_buffer=1)
        else:
            batches = keras_isd.data.two_view_dataset(
                source, view, None, size, seed=0, teacher_features=features
            )
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            for _ in batches:
                pass
            seconds.append((time.perf_counter() - start) / len(batches))
        return seconds

    return run


def main(_):
    if CASE.value:
        serve(passes(*CASE.value.split(",")))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "features.npy"
        rows = np.lib.format.open_memmap(path, "w+", "float32", (IMAGES.value, WIDTH.value))
        random = np.random.default_rng(0)
        for start in range(0, IMAGES.value, 10_000):
            rows[start : start + 10_000] = random.random(rows[start : start + 10_000].shape)
        del rows
        shape = (f"--images={IMAGES.value}", f"--batch_size={BATCH_SIZE.value}")
        cases = {
            name: MeasuredProcess(__file__, f"--case={name},{path}", f"--view={VIEW.value}", *shape)
            for name in CASES
        }
        medians = take_turns(cases, ROUNDS.value, 1)
        print("| features | batches/s | MiB beyond | file, MiB |\n| --- | --- | --- | --- |")
        for name, process in cases.items():
            size = path.stat().st_size / 2**20
            print(f"| {name} | {1 / medians[name]:.0f} | {process.beyond:,.0f} | {size:,.0f} |")
            process.close()


if __name__ == "__main__":
    app.run(main)
