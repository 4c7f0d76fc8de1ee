"""What checkpoints cost training: a ResNet-50, student and teacher, with 131,072 anchors.

    KERAS_BACKEND=jax python benchmarks/checkpoint_cost.py --step_seconds=0.35

Of each of some checkpoints: the seconds that training waits until all is copied, those until the
file is on the disk, and those in which training would have waited for that. Steps, on a few small
images, take turns: while nothing is written, and while a checkpoint is. Medians, as Markdown; and
the share of the time that checkpoints at every 500 steps come to, for steps that last as long as
given: the wait, and what writing takes from the steps beside it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np
from absl import app, flags

import keras_isd
from keras_isd.callbacks import checkpoint_file

ANCHORS = flags.DEFINE_integer("anchors", 131_072, "Size of the queue.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Checkpoints.")
STEP_SECONDS = flags.DEFINE_list("step_seconds", ["0.35"], "How long a step lasts, for the share.")
EVERY = flags.DEFINE_integer("every", 500, "Steps between checkpoints, for the share.")

AT_REST = 3  # steps of each round with nothing beside them


class Rounds(keras.callbacks.Callback):
    """Has `Resume` write at the end of some steps, and times all that happens."""

    def __init__(self, resume):
        super().__init__()
        self.resume = resume
        self.waits, self.writes, self.at_rest, self.beside = [], [], [], []

    def on_train_batch_begin(self, step, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, step, logs=None):
        float(logs["loss"])
        seconds = time.perf_counter() - self.start
        place = step % (AT_REST + 1)
        if step > AT_REST:  # the first round compiles
            (self.at_rest if place else self.beside).append(seconds)
        if place == 0 and self.resume.writing_since:
            checkpoint_file.wait(self.resume.directory)
        if place == AT_REST:
            self.resume.write_now(self)


class TimedResume(keras_isd.callbacks.Resume):
    writing_since = None

    def write_now(self, rounds):
        """A checkpoint, and what it takes: the first half of it is what `fit` waits for."""
        self.writing_since = time.perf_counter()
        self._write()
        rounds.waits.append(time.perf_counter() - self.writing_since)

    def _remove_others(self, path):
        super()._remove_others(path)
        if self.writing_since:
            self.written.append(time.perf_counter() - self.writing_since)


def measure(folder):
    model = keras_isd.ISDModel.from_recipe(
        "resnet50", input_shape=(64, 64, 3), queue_size=ANCHORS.value
    )
    model.compile(keras_isd.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4))
    resume = TimedResume(folder)
    resume.written = []
    rounds = Rounds(resume)
    views = {name: np.random.rand(8, 64, 64, 3).astype("float32") for name in ("query", "key")}

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return (AT_REST + 1) * (ROUNDS.value + 1) + 1

        def __getitem__(self, step):
            return (views,)

    model.fit(Batches(), shuffle=False, verbose=0, callbacks=[resume, rounds])
    size = max(path.stat().st_size for path in pathlib.Path(folder).glob("*.checkpoint"))
    return rounds, resume.written, size


def main(_):
    with tempfile.TemporaryDirectory() as folder:
        rounds, written, size = measure(folder)
    wait, write, rest, beside = map(
        statistics.median, (rounds.waits, written, rounds.at_rest, rounds.beside)
    )
    slower = max(0.0, 1 - rest / beside)  # the share of a step that writing takes
    print(f"\n{keras.backend.backend()}, {size / 1e6:,.0f} MB\n\n| what | seconds |\n| --- | --- |")
    print(f"| training waits | {wait:.2f} |\n| until the file is written | {write:.2f} |")
    print(
        f"| a step, nothing beside it | {rest:.2f} |\n| a step while it is written | {beside:.2f} |"
    )
    for step in map(float, STEP_SECONDS.value):
        of = EVERY.value * step
        now, before = wait + slower * (write - wait), write
        print(
            f"\nAt every {EVERY.value} steps of {step} s: {now / of:.2%} of the time; "
            f"{before / of:.2%} if training waited for the file"
        )


if __name__ == "__main__":
    app.run(main)
