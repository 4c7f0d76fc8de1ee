"""What checkpoints cost training: a ResNet-50, student and teacher, with 131,072 anchors.

    KERAS_BACKEND=jax python benchmarks/checkpoint_cost.py --step_seconds=0.35

Interleaved in one process, medians over the rounds, printed as Markdown. A round is:

- some steps, on a few small images, with nothing beside them;
- a checkpoint that training waits for until the file is on the disk, as it did in version 0.1.0;
- a checkpoint that another thread writes, and steps until it has: how long training waits for the
  copy, how long the file takes, and what these steps last longer than those before, all together.

What checkpoints at every 500 steps come to is told for steps that last as long as given, and as
long as here: the wait, and with it what the steps beside the writing lose. They lose it to the
thread that writes, on a machine with no core to spare; where a GPU trains, a core is.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import itertools
import pathlib
import statistics
import tempfile
import time

import keras
from absl import app, flags
from step_times import Repeated, random_views

import keras_isd
from keras_isd.callbacks import checkpoint_file

ANCHORS = flags.DEFINE_integer("anchors", 131_072, "Size of the queue.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed rounds, after one that is not counted.")
STEP_SECONDS = flags.DEFINE_list("step_seconds", ["0.35"], "How long a step lasts, for the share.")
EVERY = flags.DEFINE_integer("every", 500, "Steps between checkpoints, for the share.")

AT_REST = 3  # steps of each round with nothing beside them


class TimedResume(keras_isd.callbacks.Resume):
    """Writes when it is told to, and knows when a file stands."""

    written_at = None

    def write_now(self):
        self.written_at = None
        start = time.perf_counter()
        self._write()
        return start, time.perf_counter() - start

    def _remove_others(self, path):
        super()._remove_others(path)
        self.written_at = time.perf_counter()


class Rounds(keras.callbacks.Callback):
    """Has checkpoints written at the end of some steps, and times all that happens."""

    def __init__(self, resume):
        super().__init__()
        self.resume = resume
        self.at_rest, self.beside = [[]], [[]]  # seconds of the steps of each round
        self.waits, self.writes, self.in_the_way = [], [], []
        self.is_beside = False

    def on_train_batch_begin(self, step, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, step, logs=None):
        float(logs["loss"])
        (self.beside if self.is_beside else self.at_rest)[-1].append(
            time.perf_counter() - self.start
        )
        if self.is_beside and self.resume.written_at:
            self._end_round()
        elif not self.is_beside and len(self.at_rest[-1]) == AT_REST:
            self._write()

    def _write(self):
        start, _ = self.resume.write_now()
        checkpoint_file.wait(self.resume.directory)
        self.in_the_way.append(self.resume.written_at - start)
        self.began, wait = self.resume.write_now()
        self.waits.append(wait)
        self.is_beside = True

    def _end_round(self):
        self.writes.append(self.resume.written_at - self.began)
        self.is_beside = False
        self.model.stop_training = len(self.writes) > ROUNDS.value
        self.at_rest.append([])
        self.beside.append([])

    def medians(self):
        """Seconds of each thing, of all rounds but the first, in which steps are compiled."""
        rounds = slice(1, ROUNDS.value + 1)
        rest, beside = (
            statistics.median(itertools.chain(*steps[rounds]))
            for steps in (self.at_rest, self.beside)
        )
        return {
            "training waits, until all is copied": statistics.median(self.waits[rounds]),
            "until the file is written, beside training": statistics.median(self.writes[rounds]),
            "training waits, if for the file": statistics.median(self.in_the_way[rounds]),
            "a step, nothing beside it": rest,
            "a step while a file is written": beside,
            "all that such steps last longer": max(
                0.0, statistics.median(sum(s) - len(s) * rest for s in self.beside[rounds])
            ),
        }


def measure(folder):
    model = keras_isd.ISDModel.from_recipe(  # as many weights as at 224 pixels
        "resnet50", input_shape=(32, 32, 3), queue_size=ANCHORS.value
    )
    model.compile(keras_isd.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4))
    resume = TimedResume(folder)
    rounds = Rounds(resume)
    batches = Repeated((random_views(8, 32, 32, 3),), 1_000_000)  # more than are needed
    model.fit(batches, shuffle=False, verbose=0, callbacks=[resume, rounds])
    size = max(path.stat().st_size for path in pathlib.Path(folder).glob("*.checkpoint"))
    return rounds.medians(), size


def main(_):
    with tempfile.TemporaryDirectory() as folder:
        medians, size = measure(folder)
    print(f"\n{keras.backend.backend()}, {size / 1e6:,.0f} MB\n\n| what | seconds |\n| --- | --- |")
    for what, seconds in medians.items():
        print(f"| {what} | {seconds:.2f} |")
    wait, _, in_the_way, here, _, longer = medians.values()
    print(
        f"\n| at every {EVERY.value} steps of | the wait | with what steps lose here | "
        "if training waited for the file |\n| --- | --- | --- | --- |"
    )
    for step in (*map(float, STEP_SECONDS.value), here):
        shares = (f"{x / (EVERY.value * step):.2%}" for x in (wait, wait + longer, in_the_way))
        print(f"| {step:.2f} s | {' | '.join(shares)} |")


if __name__ == "__main__":
    app.run(main)
