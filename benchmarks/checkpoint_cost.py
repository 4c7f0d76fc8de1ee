"""Measures the cost of checkpoints in training: a ResNet-50, student and teacher, 131,072 anchors.

    KERAS_BACKEND=jax python benchmarks/checkpoint_cost.py --step_seconds=0.35

Interleaved in one process; medians over the rounds, in Markdown. A round is:

- some steps, on a few small images, without a checkpoint;
- a checkpoint for which training waits until the file is on the disk, as in version 0.1.0;
- a checkpoint that another thread writes, and steps until it has: the table has the time that
  training waits for the copy, the time until the file is written, and how much longer these steps
  take than those before, in total.

The share that checkpoints at every 500 steps take is printed for steps of the given length, and for
those measured here: the wait, and the wait with the loss of the steps during the writing. They lose
time to the writing thread on a machine without a spare core; where a GPU trains, one is spare.
"""

from keras_isd_start import quiet_start

with quiet_start():
    import keras

import itertools
import pathlib
import statistics
import tempfile
import time

from absl import app, flags
from step_setting import random_views, repeat_batch

import keras_isd
from keras_isd.callbacks import checkpoint_file

ANCHORS = flags.DEFINE_integer("anchors", 131_072, "Size of the queue.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed rounds, after one that is not counted.")
WIDTH = flags.DEFINE_integer("width", 64, "Channels of the ResNet's first stage.", 1)
STEP_SECONDS = flags.DEFINE_list("step_seconds", ["0.35"], "Seconds of a step, for the share.")
EVERY = flags.DEFINE_integer("every", 500, "Steps between checkpoints, for the share.")

FREE_STEPS = 3  # steps of each round without a checkpoint


class TimedResume(keras_isd.callbacks.Resume):
    """Writes on demand, and records when a file is complete."""

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
    """Writes checkpoints at the end of some steps, and times steps, waits and writes."""

    def __init__(self, resume):
        super().__init__()
        self.resume = resume
        self.free, self.during = [[]], [[]]  # seconds of the steps of each round
        self.waits, self.writes, self.blocking = [], [], []
        self.is_writing = False

    def on_train_batch_begin(self, step, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, step, logs=None):
        float(logs["loss"])
        (self.during if self.is_writing else self.free)[-1].append(time.perf_counter() - self.start)
        if self.is_writing and self.resume.written_at:
            self._end_round()
        elif not self.is_writing and len(self.free[-1]) == FREE_STEPS:
            self._write()

    def _write(self):
        start, _ = self.resume.write_now()
        checkpoint_file.wait(self.resume.directory)
        self.blocking.append(self.resume.written_at - start)
        self.began, wait = self.resume.write_now()
        self.waits.append(wait)
        self.is_writing = True

    def _end_round(self):
        self.writes.append(self.resume.written_at - self.began)
        self.is_writing = False
        self.model.stop_training = len(self.writes) > ROUNDS.value
        self.free.append([])
        self.during.append([])

    def medians(self):
        """Median seconds over all rounds except the first, in which steps compile."""
        rounds = slice(1, ROUNDS.value + 1)
        free, during = (
            statistics.median(itertools.chain(*steps[rounds])) for steps in (self.free, self.during)
        )
        return {
            "training waits, until all is copied": statistics.median(self.waits[rounds]),
            "until the file is written, during training": statistics.median(self.writes[rounds]),
            "training waits, if for the file": statistics.median(self.blocking[rounds]),
            "a step without a checkpoint": free,
            "a step while a file is written": during,
            "extra time of these steps in total": max(
                0.0, statistics.median(sum(s) - len(s) * free for s in self.during[rounds])
            ),
        }


def measure(folder):
    # As many weights as at 224 pixels.
    backbone = keras_isd.backbones.ResNet50((32, 32, 3), width=WIDTH.value)
    model = keras_isd.ISDModel.from_recipe("resnet50", backbone=backbone, queue_size=ANCHORS.value)
    model.compile(keras_isd.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4))
    resume = TimedResume(folder)
    rounds = Rounds(resume)
    batches = repeat_batch((random_views(8, 32, 32, 3),), 1_000_000)  # more than needed
    model.fit(batches, shuffle=False, verbose=0, callbacks=[resume, rounds])
    size = max(path.stat().st_size for path in pathlib.Path(folder).glob("*.checkpoint"))
    return rounds.medians(), size


def main(_):
    with tempfile.TemporaryDirectory() as folder:
        medians, size = measure(folder)
    print(f"\n{keras.backend.backend()}, {size / 1e6:,.0f} MB\n")
    print("| measure | seconds |\n| --- | --- |")
    for name, seconds in medians.items():
        print(f"| {name} | {seconds:.2f} |")
    wait, _, blocking, here, _, longer = medians.values()
    print(
        f"\n| every {EVERY.value} steps of | the wait | the wait and the loss of steps here | "
        "if training waited for the file |\n| --- | --- | --- | --- |"
    )
    for step in (*map(float, STEP_SECONDS.value), here):
        shares = (f"{x / (EVERY.value * step):.2%}" for x in (wait, wait + longer, blocking))
        print(f"| {step:.2f} s | {' | '.join(shares)} |")


if __name__ == "__main__":
    app.run(main)
