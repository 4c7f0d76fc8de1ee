"""What a training step takes of a GPU: images a second, memory, and its share of what the card can.

    KERAS_BACKEND=jax python benchmarks/gpu_step.py --reference=../ISD

A trial on a CPU:

    KERAS_BACKEND=torch python benchmarks/gpu_step.py --settings=cifar --rounds=1 --steps=1 \
        --batch_size=4 --queue_size=64

Each case is a process of its own. They take turns, and the median of the rounds is printed, as
Markdown; a round is the mean of some steps that do not wait for one another. Under JAX or PyTorch:

- `step`: a whole step of `fit` on two views that are given, on the device.
- `views`: the same, with the two views made of uint8 images in the step.
- `bare`: the bare passes of its networks, see `bare_passes.py`.
- `authors`: the step of the authors' PyTorch code, given a checkout of it; it reads its loss each
  time.
- `lightly`: MoCo's step by lightly's parts, where lightly and torchvision can be imported.

The last two run in PyTorch under any backend, in bfloat16 by autocast. The card must hold all cases
at once: give fewer `--cases`, or a smaller batch, where it does not. The share of the peak is that
of the networks' FLOPs alone, as `network_flops.py` counts them in our networks; lightly's heads
differ from these by less than a hundredth. It is of the bfloat16 peak under both policies.
"""

import dataclasses
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags
from bare_passes import bare_passes
from device_facts import facts, peak_tflops
from lightly_step import missing
from measured_process import MeasuredProcess, serve, take_turns
from network_flops import step_flops
from step_setting import Setting, make_model, two_views

TITLES = {
    "step": "step",
    "views": "step, views in it",
    "bare": "bare passes",
    "authors": "authors' step, PyTorch",
    "lightly": "lightly's MoCo, PyTorch",
}
ALL_SETTINGS = {
    "resnet18": Setting("resnet18", "train_isd_r18", 256, 131_072, 224),
    "resnet50": Setting("resnet50", "train_isd_plus", 128, 131_072, 224, network="resnet50"),
    "cifar": Setting("cifar_resnet18", "train_isd_plus", 256, 8_192, 32),
}

SETTINGS = flags.DEFINE_list("settings", list(ALL_SETTINGS), "Which of them.")
CASES = flags.DEFINE_list("cases", list(TITLES), "Which of them.")
REFERENCE = flags.DEFINE_string("reference", None, "Checkout of the authors' repository.")
POLICY = flags.DEFINE_enum("policy", "mixed_bfloat16", ["mixed_bfloat16", "float32"], "Precision.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of each case.", 1)
STEPS = flags.DEFINE_integer("steps", 20, "Steps a turn.", 1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Instead of the setting's.", 2)
IMAGE_SIZE = flags.DEFINE_integer("image_size", None, "Pixels, instead of the setting's.", 8)
QUEUE_SIZE = flags.DEFINE_integer("queue_size", None, "Instead of the setting's.", 1)
PEAK = flags.DEFINE_float("peak_tflops", None, "Of the card, where its name is not known.", 0)
CASE = flags.DEFINE_string("case", None, "SETTING,CASE: serve this one, in this process.")


def setting_of(name):
    """A setting with the sizes of the flags."""
    given = {"batch_size": BATCH_SIZE, "image_size": IMAGE_SIZE, "queue_size": QUEUE_SIZE}
    sizes = {size: flag.value for size, flag in given.items() if flag.value is not None}
    return dataclasses.replace(ALL_SETTINGS[name], **sizes)


def our_batch(setting, case):
    """Two views, or the uint8 images to make them of, which are larger than large views."""
    import numpy as np

    if case != "views":
        return (two_views(setting),)
    size = setting.image_size * 8 // 7 if setting.image_size >= 64 else setting.image_size
    shape = (setting.batch_size, size, size, 3)
    return (np.random.default_rng(0).integers(0, 256, shape, "uint8"),)


def serve_ours(setting, case):
    """Serves steps of our model, or of its networks alone."""
    import keras
    from step_times import fit_seconds, on_device

    import keras_isd

    keras.mixed_precision.set_global_policy(POLICY.value)
    augmenters = {}
    if case == "views":
        views = keras_isd.recipes.get_recipe(setting.recipe).views
        blur = {} if setting.image_size >= 64 else {"blur": 0}
        query, key = (
            view(setting.image_size, **(blur if view.__name__ == "strong" else {}))
            for view in views
        )
        augmenters = {"query_augmenter": query, "key_augmenter": key, "seed": 0}
    model = make_model(setting, **augmenters)
    flops = step_flops(model)
    if case == "bare":
        model = bare_passes(model)
    model.compile(keras_isd.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4))
    batch, told = on_device(our_batch(setting, case)), facts(keras.backend.backend())
    serve(
        lambda count: fit_seconds(model, batch, count, together=True),
        lambda: {**told(), "flops": flops},
    )


def serve_case(name, case):
    setting = setting_of(name)
    if case == "authors":
        from reference_step import make_step

        serve(make_step(REFERENCE.value, setting, POLICY.value, together=True), facts("torch"))
    elif case == "lightly":
        from lightly_step import make_step

        serve(make_step(setting, POLICY.value), facts("torch"))
    else:
        serve_ours(setting, case)


def cases_here():
    """Those of the flags that can be run."""
    unknown = sorted({*CASES.value} - {*TITLES}) + sorted({*SETTINGS.value} - {*ALL_SETTINGS})
    if unknown or not {"step", "views", "bare"} & {*CASES.value}:
        raise app.UsageError(
            f"--cases must be of {list(TITLES)}, one of the first three among them, and --settings "
            f"of {list(ALL_SETTINGS)}. Received: {CASES.value} and {SETTINGS.value}"
        )
    found = [case for case in CASES.value if case != "authors" or REFERENCE.value]
    if "lightly" in found and (why := missing()):
        print(f"lightly cannot be imported and is left out: {why}")
        found.remove("lightly")
    return found


def report(name, medians, processes):
    """Prints a table of a setting, and what its shares are of."""
    setting = setting_of(name)
    ours = next(p.facts for case, p in processes.items() if case in ("step", "views", "bare"))
    flops = ours["flops"]
    peak = PEAK.value or peak_tflops(ours["device"])
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    print(f"\n{backend} on {ours['device']}, {POLICY.value}, {name}: {setting}\n")
    print(f"{flops / 1e9:.2f} GFLOPs an image of the networks; peak of the card: {peak} TFLOP/s\n")
    print("| case | ms | images/s | bare passes take | of the peak | GiB at most |")
    print("| --- " * 6 + "|")
    for case, process in processes.items():
        rate = setting.batch_size / medians[case]
        ratio = f"{medians['bare'] / medians[case]:.0%}" if "bare" in medians else ""
        share = f"{rate * flops / (1e12 * peak):.1%}" if peak else "not known"
        memory = (process.facts["held"] or process.peak) / 2**10
        row = f"{1e3 * medians[case]:,.1f} | {rate:,.0f} | {ratio} | {share} | {memory:.1f}"
        print(f"| {TITLES[case]} | {row} |", flush=True)


def main(_):
    if CASE.value:
        serve_case(*CASE.value.split(","))
        return
    # JAX would take most of the card for the first process.
    environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    passed = (POLICY, REFERENCE, BATCH_SIZE, IMAGE_SIZE, QUEUE_SIZE)
    own = [f"--{flag.name}={flag.value}" for flag in passed if flag.value is not None]
    cases = cases_here()
    for name in SETTINGS.value:
        processes = {
            case: MeasuredProcess(__file__, f"--case={name},{case}", *own, **environment)
            for case in cases
        }
        report(name, take_turns(processes, ROUNDS.value, STEPS.value), processes)
        for process in processes.values():
            process.close()


if __name__ == "__main__":
    app.run(main)
