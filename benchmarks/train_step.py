"""Measures a training step: next to its bare passes, the authors' step, and on more devices.

    KERAS_BACKEND=jax python benchmarks/train_step.py --reference=../ISD --devices=2,4,8

Each case is a process of its own. They take turns. The table, in Markdown, has the median over all
steps, and the peak memory of the process during training:

- `step`: a whole step of `fit`.
- `bare passes`: student forward and backward, teacher forward, optimizer. The lower bound: no
  queue, no similarities, no update of the teacher. If the data contain features, no teacher either.
- `authors' step`: the authors' in PyTorch, from a checkout of their repository.
- `step before`: that of another checkout of this package, such as an earlier commit, given by
  `--before`.
- `step, FLAGS`: with these flags of XLA, given by `--xla_flags`, which may be repeated.
- `step, n devices`: the same batch split over n logical devices of this machine. Together they have
  the cores of one device, so this measures the cost of the split, not its gain.
"""

import dataclasses
import os

from absl import app, flags
from bare_passes import bare_passes
from measured_process import MeasuredProcess, serve, take_turns
from step_setting import (
    Setting,
    device_scope,
    fit_seconds,
    make_logical_devices,
    make_model,
    make_views,
)

REFERENCE = flags.DEFINE_string("reference", None, "Checkout of the authors' repository.")
BEFORE = flags.DEFINE_string("before", None, "Another checkout of this package.")
XLA_FLAGS = flags.DEFINE_multi_string("xla_flags", [], "Flags of XLA for a further case.")
SETTINGS = flags.DEFINE_list("settings", ["cifar", "imagenet"], "Settings to measure.")
DEVICES = flags.DEFINE_list("devices", [], "Numbers of devices, besides 1.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of each case.")
STEPS = flags.DEFINE_integer("steps", 2, "Steps a turn.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Instead of the setting's.", 1)
POLICY = flags.DEFINE_string("policy", "float32", "Dtype policy of all networks.")
COMPILE = flags.DEFINE_enum("jit_compile", "auto", ["auto", "True", "False"], "For `compile`.")
CASE = flags.DEFINE_string("case", None, "SETTING,CASE: serve this one, in this process.")


ALL_SETTINGS = {
    "cifar": Setting("cifar_resnet18", "train_isd_plus", 256, 65_536, 32),
    "imagenet": Setting("resnet18", "train_isd_r18", 32, 128_000, 224),
    "features": Setting("distillation_cifar_resnet18", "", 256, 4_096, 32, "features"),
    "teacher": Setting("distillation_cifar_resnet18", "", 256, 4_096, 32, "network"),
}


def setting_with_flags(name):
    """A setting with the batch size of the flags."""
    size = BATCH_SIZE.value or ALL_SETTINGS[name].batch_size
    return dataclasses.replace(ALL_SETTINGS[name], batch_size=size)


def make_step(setting, case, devices=1):
    """Function of a count that runs steps of our model, or its bare passes, and returns seconds."""
    make_logical_devices(devices)
    import keras

    import keras_isd

    keras.config.set_dtype_policy(POLICY.value)
    with device_scope(devices):
        model = make_model(setting, synchronized_batch_norm=devices > 1)
        if case == "bare":
            model = bare_passes(model)
        jit_compile = {"auto": "auto", "True": True, "False": False}[COMPILE.value]
        model.compile(
            keras_isd.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4),
            jit_compile=jit_compile if devices == 1 else "auto",
        )
    views = make_views(setting)
    return lambda count: fit_seconds(model, (views,), count)


def serve_case(name, case):
    setting = setting_with_flags(name)
    if case == "authors":
        from other_steps import make_authors_step

        serve(make_authors_step(REFERENCE.value, setting, POLICY.value))
    else:
        kind, _, devices = case.partition(" ")
        serve(make_step(setting, kind, int(devices or 1)))


def main(_):
    if CASE.value:
        serve_case(*CASE.value.split(","))
        return
    titles = {"step": "step", "bare": "bare passes"}
    if REFERENCE.value:
        titles["authors"] = "authors' step"
    if BEFORE.value:
        titles["step before"] = "step before"
    titles |= {f"step {n}": f"step, {n} devices" for n in DEVICES.value}
    titles |= {given: f"step, `{given}`" for given in XLA_FLAGS.value}
    # Cases that are the step in another environment.
    xla_flags = os.environ.get("XLA_FLAGS", "")
    environments = {flag: {"XLA_FLAGS": f"{xla_flags} {flag}"} for flag in XLA_FLAGS.value}
    environments["step before"] = {"PYTHONPATH": BEFORE.value}
    own = [f"--{flag.name}={flag.value or ''}" for flag in (REFERENCE, POLICY, COMPILE)]
    if BATCH_SIZE.value:
        own.append(f"--batch_size={BATCH_SIZE.value}")
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    for name in SETTINGS.value:
        cases = {}
        for case in titles:
            if case == "authors" and not ALL_SETTINGS[name].script:
                continue
            served = "step" if case in environments else case
            arguments = (f"--case={name},{served}", *own)
            cases[case] = MeasuredProcess(__file__, *arguments, **environments.get(case, {}))
        medians = take_turns(cases, ROUNDS.value, STEPS.value)
        print(f"\n{backend}, jit_compile={COMPILE.value}, {POLICY.value}: ", end="")
        print(f"{setting_with_flags(name)}\n")
        print("| case | ms | `step` is | MiB of the process |\n| --- | --- | --- | --- |")
        for case, process in cases.items():
            ratio = medians["step"] / medians[case]
            row = f"{1e3 * medians[case]:,.0f} | {ratio:.2f} times | {process.peak:,.0f}"
            print(f"| {titles[case]} | {row} |", flush=True)
            process.close()


if __name__ == "__main__":
    app.run(main)
