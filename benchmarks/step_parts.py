"""Measures parts of a training step: guard, checks, metrics, teacher update, transfer, execution.

    KERAS_BACKEND=jax python benchmarks/step_parts.py

Steps of the CIFAR ResNet-18 on 2 images, whose networks take little time, compared with the same
steps without one of their parts. The cost of guard and teacher depends on the network, not the
batch:

- `guard`: the copies that undo a step whose loss is not finite.
- `checks`: input validation of the batch.
- `metrics`: all except the loss, such as the spread of the embeddings.
- `teacher`: its update, which is part of the method.
- `transfer`: moving the batch from NumPy to the device. For 2 images it is almost zero: see
  `--batch_size`.
- `execution`: running steps one by one, compared with `compile(steps_per_execution=STEPS)`, in
  whole epochs in which no step waits for the loss of the previous one.

Each case is a process of its own. They take turns. The table has differences of the quickest steps:
differences of medians are smaller than the noise from other work on a machine.
"""

import os

from absl import app, flags
from measured_process import MeasuredProcess, serve, take_turns
from step_setting import Setting, fit_seconds, make_model, make_views, to_device

ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of each case.")
STEPS = flags.DEFINE_integer("steps", 10, "Steps a turn.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 2, "Images.")
PARTS = flags.DEFINE_list("parts", None, "Parts to measure; by default all that the backend has.")
WITHOUT = flags.DEFINE_string("without", None, "Serve the step without this, in this process.")


def without_guard(model):
    model.guarded_variables = list


def without_checks(model):
    model.checked = lambda batch: batch


def without_metrics(model):
    for metric in model.metrics:
        if metric.name != "loss":
            metric.update_state = lambda *args, **kwargs: None


def without_teacher(model):
    model.update_teacher = lambda: None


REMOVALS = {
    "guard": without_guard,
    "checks": without_checks,
    "metrics": without_metrics,
    "teacher": without_teacher,
}
WHOLE_EPOCHS = ("one by one", "execution")


def make_step(part):
    import keras_isd

    setting = Setting("cifar_resnet18", "", BATCH_SIZE.value, 4096, 32)
    model = make_model(setting)
    model.compile(
        keras_isd.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4),
        steps_per_execution=STEPS.value if part == "execution" else 1,
    )
    if part in REMOVALS:
        REMOVALS[part](model)
    views = make_views(setting)
    batch = (to_device(views) if part == "transfer" else views,)
    return lambda count: fit_seconds(model, batch, count, together=part in WHOLE_EPOCHS)


def main(_):
    if WITHOUT.value is not None:
        serve(make_step(WITHOUT.value))
        return
    own = [f"--{flag.name}={flag.value}" for flag in (STEPS, BATCH_SIZE)]
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    parts = PARTS.value or [*REMOVALS, "transfer"]
    if PARTS.value is None and backend != "torch":  # Keras runs only single steps there
        parts.append("execution")
    if "execution" in parts:
        parts.append("one by one")
    cases = {part: MeasuredProcess(__file__, f"--without={part}", *own) for part in ("", *parts)}
    take_turns(cases, ROUNDS.value, STEPS.value)
    quickest = {part: 1e3 * min(process.seconds) for part, process in cases.items()}
    whole, one_by_one = quickest.pop(""), quickest.pop("one by one", None)
    print(f"\n{backend}: a step of {BATCH_SIZE.value} images takes", end=" ")
    print(f"{whole:,.0f} ms\n\n| part | ms |\n| --- | --- |")
    for part, without in quickest.items():
        complete = one_by_one if part == "execution" else whole
        print(f"| {part} | {complete - without:,.1f} |")
    for process in cases.values():
        process.close()


if __name__ == "__main__":
    app.run(main)
